"""Arrays of Zarr stores, formats 2 and 3, in a folder or a zip: read chunk by chunk, none of it believed unchecked.

What a chunk declares to unpack to is compared with the array's own chunk before memory is taken, codecs are those of a
list (Zarr knows one that runs what it reads), links out of the folder are refused, and a chunk that is not there is an
error: Zarr itself would read it as black pictures. numcodecs unpacks, and imagecodecs what UMI packs as JPEG XL; shards
are not read.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rfm.errors import DataError
from rfm.files.documents.json_documents import parse_json
from rfm.files.limits import check_block
from rfm.ingest.reading import confined
from rfm.ingest.sources.zarr_codecs import unpacker

_MOST_METADATA = 2**22
_BROKEN = (
    ValueError,
    IndexError,
    RuntimeError,
    TypeError,
    OSError,
    EOFError,
    MemoryError,
    zlib.error,
    struct.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class Store:
    """What lies under the keys of a store."""

    path: Path
    get: Callable[[str, int], bytes | None]
    """The bytes of a key, None where there is none; DataError where there are more than so many."""
    children: Callable[[str], list[str]]


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """The store in a folder or a zip."""
    if path.is_dir():
        yield Store(path, lambda key, most: _file(path, key, most), lambda key: _folders(path, key))
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            yield Store(
                path,
                lambda key, most: _member(archive, key, most, path) if key in names else None,
                cache(
                    lambda key: sorted(
                        {name[len(key) + 1 :].partition("/")[0] for name in names if name.startswith(f"{key}/")}
                    )
                ),
            )
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path} must be a Zarr store in a folder or a zip, but reading it gives: {error}") from error


class ZarrArray:
    """An array whose metadata can be relied on; `rows` reads it along its first axis."""

    def __init__(self, store: Store, key: str):
        self.key, self.place = key, f"`{key}` of {store.path}"
        self._store = store
        metadata, self._format = _metadata(store, key, self.place)
        self.shape = _lengths(metadata.get("shape"), f"`shape` of {self.place}", 0)
        read = _read_2 if self._format == 2 else _read_3
        self._chunks, self.dtype, self._separator, self._prefix, codecs = read(metadata, self.place)
        self._order: Literal["C", "F"] = "F" if self._format == 2 and metadata.get("order") == "F" else "C"
        self._bytes = math.prod(self._chunks) * self.dtype.itemsize
        if len(self._chunks) != len(self.shape):
            raise DataError(f"{self.place} must have chunks of its {len(self.shape)} axes, but has {self._chunks}")
        check_block(self._bytes, f"a chunk of {self.place}")
        self._unpack = [unpacker(codec, self._format, self.place) for codec in codecs]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop`, whose chunks are all read; DataError where they are too many for a block."""
        size = (stop - start) * math.prod(self.shape[1:]) * self.dtype.itemsize
        check_block(size, f"rows {start} to {stop} of {self.place}")
        found = np.empty((stop - start, *self.shape[1:]), self.dtype)
        first = range(start // self._chunks[0], (stop - 1) // self._chunks[0] + 1)
        others = [range(math.ceil(size / chunk)) for size, chunk in zip(self.shape[1:], self._chunks[1:], strict=True)]
        for index in product(first, *others):
            begin = [at * chunk for at, chunk in zip(index, self._chunks, strict=True)]
            block = self._chunk(index)
            low = max(start, begin[0])
            high = min(stop, begin[0] + self._chunks[0])
            ends = [min(at + chunk, size) for at, chunk, size in zip(begin, self._chunks, self.shape, strict=True)][1:]
            into = (slice(low - start, high - start), *map(slice, begin[1:], ends))
            out = (
                slice(low - begin[0], high - begin[0]),
                *(slice(0, end - at) for at, end in zip(begin[1:], ends, strict=True)),
            )
            found[into] = block[out]
        return found

    def blocks(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """Each of `rows`, which ascend; a chunk is read once."""
        held, block = -1, np.empty(0)
        for row in rows:
            if row // self._chunks[0] != held:
                held = row // self._chunks[0]
                begin = held * self._chunks[0]
                block = self.rows(begin, min(begin + self._chunks[0], self.shape[0]))
            yield block[row - held * self._chunks[0]]

    def _chunk(self, index: Sequence[int]) -> np.ndarray:
        name = self._prefix + self._separator.join(map(str, index))
        place = f"chunk {name} of {self.place}"
        data = self._store.get(f"{self.key}/{name}", 2 * self._bytes + 2**16)
        if data is None:
            raise DataError(f"{place} must be stored, but is not there: Zarr would read it as black")
        try:
            for unpack in self._unpack:
                data = unpack(data, self._bytes)
            values = np.frombuffer(data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes(), np.uint8)
            if len(values) != self._bytes:
                raise ValueError(f"{len(values)} bytes come")
            return values.view(self.dtype).reshape(self._chunks, order=self._order)
        except _BROKEN as error:
            raise DataError(
                f"{place} must be {self._bytes} bytes when unpacked, but unpacking gives: {error}"
            ) from error


def array_names(store: Store, group: str) -> list[str]:
    """The arrays of a group, by their last name."""
    return [name for name in store.children(group) if _is_array(store, f"{group}/{name}")]


def _is_array(store: Store, key: str) -> bool:
    return any(store.get(f"{key}/{name}", _MOST_METADATA) is not None for name in (".zarray", "zarr.json"))


def _metadata(store: Store, key: str, place: str) -> tuple[Mapping[str, Any], int]:
    for name, version in ((".zarray", 2), ("zarr.json", 3)):
        data = store.get(f"{key}/{name}", _MOST_METADATA)
        if data is not None:
            values = parse_json(data, f"{name} of {place}")
            if isinstance(values, dict) and values.get("zarr_format") == version:
                return values, version
            raise DataError(f"{name} of {place} must be of Zarr format {version}, but is not")
    raise DataError(f"{place} must be an array, but is not there")


_Layout = tuple[tuple[int, ...], "np.dtype[Any]", str, str, list[Any]]
"""Lengths of a chunk, type, what separates and what begins names of chunks, and codecs in the order of unpacking."""


def _read_2(metadata: Mapping[str, Any], place: str) -> _Layout:
    filters = metadata.get("filters") or []
    if not isinstance(filters, list):
        raise DataError(f"`filters` of {place} must be a list, but is {type(filters).__name__}")
    codecs = [codec for codec in (metadata.get("compressor"), *reversed(filters)) if codec is not None]
    chunks = _lengths(metadata.get("chunks"), f"`chunks` of {place}", 1)
    separator = _separator(metadata.get("dimension_separator", "."), place)
    return chunks, _dtype(metadata.get("dtype"), place), separator, "", codecs


def _read_3(metadata: Mapping[str, Any], place: str) -> _Layout:
    grid, keys, codecs = (metadata.get(name) for name in ("chunk_grid", "chunk_key_encoding", "codecs"))
    if not isinstance(grid, dict) or grid.get("name") != "regular" or not isinstance(codecs, list):
        raise DataError(f"{place} must have a regular grid of chunks and a list of codecs, but has not")
    chunks = _lengths(_configuration(grid).get("chunk_shape"), f"`chunk_shape` of {place}", 1)
    named = [codec.get("name") if isinstance(codec, dict) else codec for codec in codecs]
    if not named or named[0] != "bytes":
        raise DataError(
            f"{place} must be packed by `bytes` and what comes after it, but is by {', '.join(map(str, named))}: "
            "write it anew without shards"
        )
    dtype = _dtype(metadata.get("data_type"), place)
    big = _configuration(codecs[0]).get("endian") == "big"
    style = keys.get("name", "default") if isinstance(keys, dict) else "default"
    separator = _configuration(keys).get("separator", "/" if style == "default" else ".")
    prefix = f"c{separator}" if style == "default" else ""
    codecs = [{**_configuration(codec), "id": codec.get("name")} for codec in reversed(codecs[1:])]
    return chunks, dtype.newbyteorder(">" if big else "<"), _separator(separator, place), prefix, codecs


def _configuration(value: Any) -> Mapping[str, Any]:
    found = value.get("configuration") if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _lengths(value: Any, name: str, least: int) -> tuple[int, ...]:
    whole = isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
    if not whole or not value or len(value) > 8 or not all(least <= one < 2**40 for one in value):
        raise DataError(f"{name} must be a list of up to 8 whole numbers from {least} on, but is {str(value)[:100]}")
    return tuple(value)


def _separator(value: Any, place: str) -> str:
    if value not in (".", "/"):
        raise DataError(f"the separator of {place} must be `.` or `/`, but is `{value}`")
    return str(value)


def _dtype(value: Any, place: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(value) if isinstance(value, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "biufSU" or not dtype.itemsize:
        raise DataError(f"{place} must hold numbers or texts of one length, but holds `{value}`")
    return dtype


def _file(root: Path, key: str, most: int) -> bytes | None:
    path = confined(root, key, "a chunk")
    if not path.is_file():
        return None
    if path.stat().st_size > most:
        raise DataError(f"{path} must have at most {most} bytes, but has {path.stat().st_size}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} must be readable, but reading it gives: {error.strerror}") from error


def _folders(root: Path, key: str) -> list[str]:
    folder = root / key
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []


def _member(archive: zipfile.ZipFile, key: str, most: int, path: Path) -> bytes:
    info = archive.getinfo(key)
    if info.file_size > most:
        raise DataError(f"{key} of {path} must have at most {most} bytes, but declares {info.file_size}")
    try:
        return archive.read(info)
    except _BROKEN as error:
        raise DataError(f"{key} of {path} must be readable, but reading it gives: {error}") from error
