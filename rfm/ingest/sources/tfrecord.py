"""TFRecord files and the `tf.Example`s in them, read without TensorFlow.

A record is its length (8 bytes, little endian), a checksum of these, the data, and a checksum of the data (masked
CRC32C each; tensorflow/core/lib/io/record_writer.h). An Example is a map of names to lists of bytes, floats or integers
(tensorflow/core/example/feature.proto), read here as views into the file: listing what a record holds touches neither
its pictures nor its numbers. Lengths are checked against what is there before anything is read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rfm.errors import DataError, MissingExtraError
from rfm.files.lfs import check_fetched

_LENGTH, _CHECKSUM = 8, 4
_MASK = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_COMPRESSED = (b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd")
"""How files of gzip, zlib and zstd begin."""
_KINDS = {_BYTES_LIST: "bytes", _FLOAT_LIST: "floats", _INT64_LIST: "integers"}


class Record(NamedTuple):
    """The place of a record's data in its file."""

    offset: int
    length: int


class Feature(NamedTuple):
    """A named list, not decoded yet."""

    kind: str
    data: memoryview
    place: str

    def strings(self) -> list[memoryview]:
        """The byte strings of a `bytes` list, as views."""
        return [value for value in self._values() if isinstance(value, memoryview)]

    def numbers(self) -> list[float] | list[int]:
        """The values of a list of floats or integers."""
        with _reading(self.place):
            packed = self._values()
            if self.kind == "floats":
                return [float(item) for part in packed for item in np.frombuffer(_view(part), dtype="<f4")]
            return [item for part in packed for item in ([part] if isinstance(part, int) else _varints(part))]

    def _values(self) -> list[memoryview | int]:
        with _reading(self.place):
            return [value for number, value in _fields(self.data) if number == 1]

    def values(self) -> list[float] | list[int] | list[bytes]:
        """All values, whatever their kind."""
        return [bytes(value) for value in self.strings()] if self.kind == "bytes" else self.numbers()


@contextmanager
def opened(path: Path) -> Iterator[memoryview]:
    """The bytes of a file, mapped; DataError where it can't be."""
    check_fetched(path)
    try:
        with path.open("rb") as stream:
            if not path.stat().st_size:
                yield memoryview(b"")
                return
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise DataError(f"{path} must be readable, but reading it gives: {error.strerror}") from error
    yield memoryview(mapped)  # unmapped with the last view of it


def records(data: memoryview, path: Path) -> Iterator[Record]:
    """The places of all records; DataError where one is cut off or its length is damaged: no later one can be found."""
    at, number = 0, 0
    while at < len(data):
        header = bytes(data[at : at + _LENGTH + _CHECKSUM])
        if len(header) < _LENGTH + _CHECKSUM:
            raise DataError(f"record {number} of {path} must have a length, but the file ends at byte {len(data)}")
        length, checksum = struct.unpack("<QI", header)
        if checksum != masked_checksum(header[:_LENGTH]):
            if number == 0 and header.startswith(_COMPRESSED):
                raise DataError(
                    f"{path} must hold records as they are, but is compressed: unpack it into another folder, one of "
                    f"gzip by `gzip -dc {path.name} > FOLDER/{path.name}`, and name that"
                )
            raise DataError(f"the length of record {number} of {path} (byte {at}) must fit its checksum, but does not")
        start = at + _LENGTH + _CHECKSUM
        if start + length + _CHECKSUM > len(data):
            raise DataError(
                f"record {number} of {path} must hold {length} bytes, but the file ends {len(data) - start} bytes on: "
                "it was cut off"
            )
        yield Record(start, length)
        at, number = start + length + _CHECKSUM, number + 1


def check_data(data: memoryview, record: Record, place: str) -> None:
    """DataError where the record's data do not fit their checksum."""
    end = record.offset + record.length
    (checksum,) = struct.unpack("<I", data[end : end + _CHECKSUM])
    if checksum != masked_checksum(bytes(data[record.offset : end])):
        raise DataError(f"the data of {place} must fit their checksum, but do not")


def masked_checksum(data: bytes) -> int:
    """CRC32C, rotated and shifted as TFRecord files have it."""
    try:
        import google_crc32c
    except ImportError as error:
        raise MissingExtraError("TFRecord files need the package google-crc32c: pip install 'rfm-vqa[rlds]'") from error
    checksum = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def features(data: memoryview, place: str) -> dict[str, Feature]:
    """The lists of a `tf.Example`; DataError, calling it `place`, where it is none."""
    with _reading(place):
        return {
            name: feature
            for number, example in _fields(data)
            if number == 1
            for _, entry in _fields(_view(example))
            for name, feature in [_entry(_view(entry), place)]
        }


@contextmanager
def _reading(place: str) -> Iterator[None]:
    """What is no protobuf message within the block is a DataError."""
    try:
        yield
    except (ValueError, IndexError) as error:
        raise DataError(f"{place} must be a tf.Example, but reading it gives: {error}") from error


def _entry(data: memoryview, place: str) -> tuple[str, Feature]:
    """One entry of the map: its key, and the one list that its value holds."""
    name, feature = "", Feature("bytes", memoryview(b""), place)
    for number, value in _fields(data):
        if number == 1:
            name = bytes(_view(value)).decode("utf-8")
        elif number == 2:
            for kind, content in _fields(_view(value)):
                if kind in _KINDS:
                    feature = Feature(_KINDS[kind], _view(content), place)
    return name, feature


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """(number, value) of each field of a protobuf message; views of what is length-delimited or of fixed size."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, _signed(value)
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"field {number} takes {size} bytes, but {len(data) - at} are left")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number of more than 64 bits at byte {at}")


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield _signed(value)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _view(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where bytes are expected")
    return value
