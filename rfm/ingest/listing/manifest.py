"""The list of videos that a user writes: `manifest.jsonl` (one object a line) or `manifest.csv`.

`path` (a video or a folder of numbered pictures, relative to the folder of them all) and `task` are required. Also
read: `id` (default: the path without its suffix), `data_source` (default: the folder's name), `task_id`,
`quality_label`, `is_robot`, `partial_success`, `progress` (a number in [0, 1] for each frame of the video; in CSV as a
JSON list), `progress_by_task` (the same for other tasks, by their ids: an object; in CSV as JSON), `scene_id`, `split`.
Empty means unknown. All faults of a manifest are found before any video is opened, and reported together.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.files.documents.csv_lines import csv_lines
from rfm.files.documents.json_documents import json_lines, named_kind, parse_json
from rfm.files.documents.regular import is_folder, is_regular
from rfm.ingest.listing.recordings import holds_pictures, located
from rfm.trajectories.other_tasks import ProgressByTask
from rfm.trajectories.record import canonical_quality, other_task_faults

logger = logging.getLogger(__name__)

NAMES = ("manifest.jsonl", "manifest.csv")
EXTRAS = ("num_frames", "fps", "seed", "policy", "camera")
"""Columns that are often there and never needed; any other unknown one is reported."""

_MOST_FAULTS = 20
_LONGEST_SHOWN = 100
_REQUIRED = ("path", "task")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True)
class ManifestRow:
    """One video of the manifest, with every value checked but how many there are of progress."""

    path: str
    task: str
    id: str | None
    """None until `with_ids` has given it one."""
    data_source: str
    quality_label: str | None = None
    is_robot: bool = True
    partial_success: float | None = None
    task_id: str | None = None
    progress: tuple[float, ...] | None = None
    progress_by_task: ProgressByTask | None = None
    scene_id: str | None = None
    split: str | None = None


def check_folder(folder: Path) -> Path:
    """The folder of videos; ConfigError where it is none."""
    if not folder.is_dir():
        raise ConfigError(f"the folder of videos must exist, but {folder} is not a folder")
    return folder


def find_manifest(folder: Path, manifest: Path | None) -> Path:
    """The manifest given, or the one in the folder."""
    check_folder(folder)
    candidates = [manifest] if manifest is not None else [folder / name for name in NAMES]
    for candidate in candidates:
        if os.path.lexists(candidate):
            return candidate
    looked = " or ".join(str(path) for path in candidates)
    raise ConfigError(
        f"the videos must be listed in a manifest, but there is no {looked}: `rfm manifest {folder}` writes one to "
        'fill in; or say of all videos at once what they are: --task "…" --label successful, or --task_from folder '
        "where each lies in a folder named after its task; --manifest names a list that is called or lies otherwise"
    )


def read_manifest(manifest: Path, folder: Path, data_source: str | None = None) -> list[ManifestRow]:
    """The rows, checked, of `data_source` where they name none; DataError lists what is wrong in all of them."""
    faults: list[str] = []
    entries = list(_entries(manifest, faults))
    default = {"data_source": data_source or folder.resolve().name, "is_robot": True}
    rows = [_row(entry, f"line {line}", folder, default, faults) for line, entry in entries]
    _check_ids([(line, row.id) for (line, _), row in zip(entries, rows, strict=True)], faults)
    if not entries and not faults:
        faults.append("it must list at least one video, but is empty")
    if faults:
        more = f"\n  and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        listed = "\n  ".join(faults[:_MOST_FAULTS])
        raise DataError(f"{manifest} has {len(faults)} fault{'s' * (len(faults) > 1)}:\n  {listed}{more}")
    _report_unknown(manifest, {name for _, entry in entries for name in entry})
    return with_ids(rows, folder)


def warn_of_unknown(manifest: Path, rows: Sequence[ManifestRow]) -> None:
    """Say how many recordings serve no label, as nobody knows whether they succeeded."""
    unknown = sum(row.quality_label is None and row.partial_success is None and not row.progress for row in rows)
    if unknown:
        logger.warning(
            "%d of %d recordings are not known to have succeeded or failed: they serve neither as successes nor as "
            "failures, and no progress is known of them; the column `quality_label` of %s says what they are",
            unknown,
            len(rows),
            manifest,
        )


def _entries(manifest: Path, faults: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, columns) of each row; values are JSON values, or text from CSV."""
    is_csv = manifest.suffix.lower() == ".csv"
    for number, entry, fault in csv_lines(manifest, _REQUIRED) if is_csv else json_lines(manifest):
        if fault is not None:
            faults.append(f"line {number} {fault}")
        elif isinstance(entry, dict):
            yield number, entry
        else:
            faults.append(f"line {number} must be a JSON object, but is {named_kind(entry)}")


def _row(entry: dict[str, Any], place: str, folder: Path, default: Mapping[str, Any], faults: list[str]) -> ManifestRow:
    values = dict(default)
    for name, convert in _COLUMNS.items():
        value = entry.get(name)
        if _empty(value):
            values.setdefault(name, None)
            continue
        try:
            values[name] = convert(value)
        except DataError as error:
            faults.append(f"{place}: {error}")
            values[name] = None
        except (ValueError, TypeError):
            faults.append(f"{place}: `{name}` must be {_MEANING[convert]}, but is `{str(value)[:_LONGEST_SHOWN]}`")
            values[name] = None
    if values["progress_by_task"] is not None:
        found = other_task_faults(values["progress_by_task"], values["task"], values["task_id"])
        faults.extend(f"{place}: {fault}" for fault in found)
    _check_required(entry, values, place, folder, faults)
    return ManifestRow(**values)


def _check_required(entry: dict[str, Any], values: dict[str, Any], place: str, folder: Path, faults: list[str]) -> None:
    faults.extend(f"{place}: `{name}` must be set, but is not" for name in _REQUIRED if _empty(entry.get(name)))
    path = PurePosixPath(values["path"] or ".")
    if path.is_absolute() or ".." in path.parts:
        faults.append(
            f"{place}: `path` must lie in {folder}, but `{path}` leads out of it: move the video there, or link"
        )
    elif values["path"]:
        values["path"] = located(folder, values["path"]) or values["path"]
        faults.extend(f"{place}: {fault}" for fault in _path_faults(folder, values["path"]))


def _path_faults(folder: Path, path: str) -> Iterator[str]:
    """What is wrong with a recording that is named; pictures are looked at one by one when they are read."""
    if is_folder(folder / path):
        if not holds_pictures(folder / path):
            yield f"`path` must name a video, or a folder of pictures, but `{path}` is a folder without a picture"
    elif not is_regular(folder / path):
        slashes = "; write `/` between folders" if "\\" in path else ""
        yield f"`path` must name a file in {folder}, but `{path}` is not there{slashes}"


def _check_ids(ids: list[tuple[int, str | None]], faults: list[str]) -> None:
    first: dict[str, int] = {}
    for line, identity in ids:
        if identity is not None and first.setdefault(identity, line) != line:
            faults.append(
                f"line {line}: `id` must differ in every line, but `{identity}` is in line {first[identity]} too"
            )


def with_ids(rows: Sequence[ManifestRow], folder: Path) -> list[ManifestRow]:
    """Rows without an id get one from their path, numbered where two paths give the same."""
    taken = {row.id for row in rows if row.id is not None}
    highest: dict[str, int] = {}
    complete = []
    for row in rows:
        identity = row.id
        if identity is None:
            path = PurePosixPath(row.path)
            whole = str(path if is_folder(folder / path) else path.with_suffix(""))
            base = re.sub(r"[^A-Za-z0-9._-]+", "_", whole).strip("_.") or "video"
            number = highest.get(base, 0) + 1
            while (name := base if number == 1 else f"{base}_{number}") in taken:
                number += 1
            highest[base] = number
            taken.add(name)
            identity = name
        complete.append(replace(row, id=identity))
    return complete


def _report_unknown(manifest: Path, names: set[str]) -> None:
    unknown = sorted(names - set(_COLUMNS) - set(EXTRAS))
    if unknown:
        logger.warning("%s: unknown columns are left out: %s", manifest, ", ".join(unknown))


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(value: Any) -> str:
    if isinstance(value, (bool, list, dict)):
        raise TypeError
    return str(value).strip()


def _flag(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError
    return text in _TRUE


def _fraction(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not 0.0 <= number <= 1.0:
        raise ValueError
    return number


def _fractions(value: Any) -> tuple[float, ...] | None:
    listed = parse_json(value, "`progress`") if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise TypeError
    return tuple(_fraction(item) for item in listed) or None


def _by_task(value: Any) -> ProgressByTask | None:
    """The values as they are written: `_row` has them checked once it knows the row's own task."""
    named = parse_json(value, "`progress_by_task`") if isinstance(value, str) else value
    if not isinstance(named, dict):
        raise TypeError
    return tuple((task, tuple(one) if isinstance(one, list) else one) for task, one in named.items()) or None


def _quality(value: Any) -> str | None:
    return canonical_quality(str(value), "the manifest")


_COLUMNS: dict[str, Callable[[Any], Any]] = {
    "path": _text,
    "task": _text,
    "id": _text,
    "data_source": _text,
    "quality_label": _quality,
    "is_robot": _flag,
    "partial_success": _fraction,
    "task_id": _text,
    "progress": _fractions,
    "progress_by_task": _by_task,
    "scene_id": _text,
    "split": _text,
}
_OPTIONAL = tuple(name for name in _COLUMNS if name not in _REQUIRED)
_MEANING: dict[Callable[[Any], Any], str] = {
    _text: "text",
    _flag: "true or false",
    _fraction: "a number in [0, 1]",
    _fractions: "a list of numbers in [0, 1]",
    _by_task: "an object of lists of numbers by task id",
}
