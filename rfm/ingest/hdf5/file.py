"""HDF5 files that anybody may have written: members and attributes, none of which is believed before it is checked.

Links to other files are not followed, neither directly nor by a link within the file that leads to one. What a dataset
declares is held against what the file stores before memory is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from rfm.errors import DataError, MissingExtraError
from rfm.files.documents.json_documents import parse_json
from rfm.files.lfs import check_fetched
from rfm.files.limits import check_block, check_count, check_pixels

_DEFLATE, _LZF, _SZIP = 1, 32000, 4
_MOST_RATIO = {_DEFLATE: 1100, _LZF: 1100, _SZIP: 1100}
"""Deflate shrinks at most 1032 times."""
_ANY_RATIO = 100_000
"""What zstd makes of pictures in one colour."""
_MOST_STEPS = 10_000_000
_MOST_LINKS = 16


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The open file; whatever h5py finds wrong within the block is a DataError."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("HDF5 files need the package h5py: pip install 'rfm-vqa[hdf5]'") from error
    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  more filters, where it is installed
    check_fetched(path)
    with reading(path), h5py.File(path, "r") as file:
        yield file


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever h5py finds wrong within the block is a DataError."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # TypeError: names that are no UTF-8
        raise DataError(f"{path} must be a readable HDF5 file, but reading it gives: {error}") from error


def member(group: Any, name: str, place: str, links: int = 0) -> Any:
    """`group[name]`, step by step, without leaving the file; DataError where it is not there."""
    import h5py

    for part in [part for part in name.split("/") if part]:
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise DataError(f"{place} must have `{name}`, but has {held(group)}")
        if isinstance(link, h5py.ExternalLink):
            raise DataError(f"`{name}` of {place} must lie in the file itself, but is a link to {link.filename}")
        if isinstance(link, h5py.SoftLink):
            if links == _MOST_LINKS:
                raise DataError(f"`{name}` of {place} must lead somewhere, but its links lead in a circle")
            start = group.file if link.path.startswith("/") else group
            group = member(start, link.path, place, links + 1)
        else:
            group = group[part]
    return group


def held(group: Any) -> str:
    """The names of a group's members, for messages."""
    import h5py

    return (", ".join(group) if isinstance(group, h5py.Group) else "") or "no members"


def check_stored(data: Any, place: str) -> None:
    """DataError where a dataset lies in another file, declares more than is stored, or can't be decompressed."""
    if data.external or data.is_virtual:
        raise DataError(f"{place} must lie in the file itself, but lies in another")
    ratio = _check_filters(data, place)
    declared, stored = math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size()
    if declared > stored * ratio:
        raise DataError(f"{place} must be stored in full, but declares {declared} bytes and stores {stored}")
    if len(data.shape) == 4:
        check_count(data.shape[0], place)
        check_pixels(data.shape[1], data.shape[2], place)
    if data.chunks is not None:
        check_block(math.prod(data.chunks) * data.dtype.itemsize, f"a chunk of {place}")


def _check_filters(data: Any, place: str) -> int:
    """How much the filters of a dataset may shrink it; DataError for one that is not installed."""
    import h5py

    created = data.id.get_create_plist()
    filters = [created.get_filter(at) for at in range(created.get_nfilters())]
    for code, _, _, name in filters:
        if not h5py.h5z.filter_avail(code):
            named = name.decode("utf-8", "replace").partition(";")[0] or "without a name"
            raise DataError(
                f"{place} is compressed by filter {code} ({named}), which must be installed, but is not: "
                "pip install hdf5plugin"
            )
    return math.prod([_MOST_RATIO.get(code, _ANY_RATIO) for code, _, _, _ in filters if code > 3 or code == _DEFLATE])


def column(holders: Sequence[Any], name: str, place: str) -> list[Any] | None:
    """The values of an attribute or a dataset of the first holder that has it, None where none has.

    `ep_meta.lang` is the member `lang` of the JSON object that attribute `ep_meta` holds. DataError where a dataset
    has more than one value a step.
    """
    attribute, _, key = name.partition(".")
    for holder in holders:
        if name in holder.attrs:
            return _plain(holder.attrs[name])
        if key and key in (values := json_attribute(holder, attribute)):
            return [values[key]]
        if getattr(holder, "get", None) is not None and holder.get(name.split("/")[0], getlink=True) is not None:
            return _dataset(member(holder, name, place), f"`{name}` of {place}")
    return None


def columns(holders: Sequence[Any]) -> list[str]:
    """What `column` may be asked for."""
    names = [str(name) for holder in holders for name in (*holder.attrs, *_datasets(holder))]
    return list(dict.fromkeys(names))


def json_attribute(group: Any, name: str) -> dict[str, Any]:
    """An attribute with a JSON object; empty where there is none."""
    try:
        value = parse_json(text, name) if isinstance(text := group.attrs.get(name), (str, bytes)) else {}
    except DataError:
        return {}
    return value if isinstance(value, dict) else {}


def _datasets(holder: Any) -> list[str]:
    """The members of a group that are datasets of the file itself; none where the holder is no group."""
    import h5py

    def is_dataset(name: str) -> bool:
        try:
            return isinstance(member(holder, name, "the group"), h5py.Dataset)
        except DataError:
            return False

    return [name for name in holder if is_dataset(name)] if isinstance(holder, h5py.Group) else []


def _dataset(data: Any, place: str) -> list[Any]:
    shape = getattr(data, "shape", None)
    if shape is None or math.prod(shape) > _MOST_STEPS or math.prod(shape[1:]) != 1 or data.dtype.kind not in "biufSO":
        kind = "a group" if shape is None else f"{data.dtype} of shape {shape}"
        raise DataError(f"{place} must have one number or text a step, but is {kind}")
    check_stored(data, place)
    return _plain(data[()])


def _plain(value: Any) -> list[Any]:
    """What h5py reads as Python's own values."""
    if type(value).__name__ == "Empty":
        return []
    values = np.asarray(value, dtype=object if isinstance(value, (str, bytes)) else None).reshape(-1).tolist()
    return [item.item() if isinstance(item, np.generic) else item for item in values]
