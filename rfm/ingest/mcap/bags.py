"""Which recordings there are: MCAP files, and ROS 2 bags, folders whose metadata.yaml lists the files they consist of.

A bag of several files is one recording. Bags in SQLite are known by name, so that what to do with them can be said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import ConfigError, DataError
from rfm.files.documents.yaml_documents import read_yaml
from rfm.ingest.listing.finding import Found, find_files, natural
from rfm.ingest.reading import confined

_MCAP, _METADATA, _BAG = ".mcap", "metadata.yaml", "rosbag2_bagfile_information"
_OTHERS = (".db3", ".db3.zstd", ".mcap.zstd")


class Recording(NamedTuple):
    """A file or a bag, its path from the folder on without an ending, its files, and why it can't be read, if known."""

    path: Path
    name: str
    files: tuple[Path, ...]
    told: Mapping[str, Sequence[str]] = {}
    """What the bag's metadata.yaml says of it by the user's own word (`custom_data`)."""
    fault: str = ""


def recordings(path: Path) -> list[Recording]:
    """The file, or all files and bags below the folder; ConfigError where there are none, or none but in SQLite."""
    found = [_file(Found(path, ""))] if path.is_file() else _below(path) if path.is_dir() else []
    if not found:
        raise ConfigError(f"PATH must be an MCAP file, a ROS 2 bag, or a folder of them, but is {path}")
    if all("bag in SQLite" in recording.fault for recording in found):
        raise ConfigError(found[0].fault)
    return found


def _below(root: Path) -> list[Recording]:
    files = find_files(root, lambda name: name == _METADATA or name.lower().endswith((_MCAP, *_OTHERS)))
    recorded = [found for found in files if found.path.name != _METADATA]
    bags: dict[Path, Recording] = {}
    for folder in (found.path.parent for found in files if found.path.name == _METADATA):
        bag = _bag(root, folder, [found for found in recorded if found.path.parent == folder])
        if bag is not None:
            bags[folder] = bag
    taken = {bag.name for bag in bags.values()}
    single = [_file(found, taken, root) for found in recorded if found.path.parent not in bags]
    return sorted([*bags.values(), *single], key=lambda recording: natural(recording.name))


def _file(found: Found, taken: frozenset[str] | set[str] = frozenset(), root: Path | None = None) -> Recording:
    name = found.path.relative_to(root).as_posix() if root and found.name in taken else found.name
    return Recording(found.path, name, (found.path,), fault=found.fault or _unreadable(found.path))


def _bag(root: Path, folder: Path, beside: Sequence[Found]) -> Recording | None:
    """The bag of a folder with metadata.yaml; None where that is none of a bag."""
    name = folder.relative_to(root).as_posix()
    name = "" if name == "." else name
    try:
        metadata = read_yaml(confined(root, str((folder / _METADATA).relative_to(root)), _METADATA))
        if not isinstance(metadata, dict) or _BAG not in metadata:
            return None
        information = metadata[_BAG] if isinstance(metadata[_BAG], dict) else {}
        return Recording(folder, name, _files(folder, information, beside), _custom(information))
    except DataError as error:
        return Recording(folder, name, (), fault=str(error)) if beside else None


def _files(folder: Path, information: Mapping[str, Any], beside: Sequence[Found]) -> tuple[Path, ...]:
    """The files that a bag lists, which must be those that are there."""
    listed = information.get("relative_file_paths")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, str) for one in listed):
        raise DataError(f"`relative_file_paths` of {folder / _METADATA} must be a list of files, but is {listed}")
    for name in listed:
        if Path(name).name != name:
            raise DataError(
                f"`relative_file_paths` of {folder / _METADATA} must name files beside it, but has `{name}`"
            )
        if fault := _unreadable(folder / name):
            raise DataError(fault)
    files = tuple(confined(folder, name, "a file of the bag") for name in dict.fromkeys(listed))
    for path in files:
        if not path.is_file():
            raise DataError(f"{folder} must hold the files that its {_METADATA} lists, but `{path.name}` is not there")
    more = [found.path.name for found in beside if found.path not in files]
    if more:
        raise DataError(
            f"{folder / _METADATA} must list all files of the bag, but `{more[0]}` is not listed: `ros2 bag reindex` "
            "lists them anew"
        )
    return files


def _unreadable(path: Path) -> str:
    """What to do with a recording of another kind, by its name."""
    name = path.name.lower()
    if name.endswith((".db3", ".db3.zstd")):
        return (
            f"{path} must be an MCAP file, but is a ROS 2 bag in SQLite (.db3): convert it by `ros2 bag convert -i "
            f"{path.parent} -o mcap.yaml`, where mcap.yaml says "
            "`output_bags: [{uri: converted, storage_id: mcap, all_topics: true}]`"
        )
    if name.endswith(".mcap.zstd"):
        return f"{path} must be an MCAP file, but is compressed as a whole: `unzstd` unpacks it, or `ros2 bag convert`"
    return ""


def _custom(information: Mapping[str, Any]) -> dict[str, list[str]]:
    custom = information.get("custom_data")
    return {str(key): [str(value)] for key, value in custom.items()} if isinstance(custom, dict) else {}
