"""What the messages of an Arrow stream declare, read before pyarrow takes memory for it.

Buffers of a stream may be packed (LZ4, Zstandard): each then starts with the size that it unpacks to, for which pyarrow
takes memory as it says. pyarrow does not show those sizes, so they are read here from the flatbuffers. Format:
https://arrow.apache.org/docs/format/Columnar.html#recordbatch-message, `Message.fbs` beside it. pyarrow has verified a
message before it hands it over, so that its offsets stay in it.

Cost: some µs a message, and of packed buffers their first 8 bytes; a million rows in messages of 1000: 10 ms.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

_SCHEMA = "schema"
_HEADER, _DATA = 2, 1
"""Fields of a Message, and of the DictionaryBatch that may be its header."""
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3
"""Fields of a RecordBatch."""
_PLAIN = -1
"""Instead of a size: this buffer did not become smaller, and is not packed."""


class Declared(NamedTuple):
    """What one message of rows, or of a dictionary's values, takes."""

    rows: int
    packed: int
    """Bytes in the file."""
    unpacked: int
    """Bytes that its packed buffers take in memory."""


def declarations(stream: pa.NativeFile) -> Iterator[Declared]:
    """What each message of a stream declares; ArrowInvalid or struct.error where one is damaged."""
    for message in pa.ipc.MessageReader.open_stream(stream):
        if message.type != _SCHEMA:
            header = _Table.root(message.metadata).table(_HEADER)
            batch = header.table(_DATA) if message.type == "dictionary" else header
            body = message.body
            yield Declared(batch.integer(_LENGTH), body.size, sum(_unpacked_sizes(batch, body)))


def _unpacked_sizes(batch: _Table, body: pa.Buffer) -> Iterator[int]:
    if batch.field(_COMPRESSION) is None:
        return
    for at, size in batch.pairs(_BUFFERS):
        if size > 0:
            (unpacked,) = struct.unpack_from("<q", memoryview(body), at)
            if unpacked != _PLAIN:
                yield unpacked


class _Table(NamedTuple):
    """A table of a flatbuffer: where it begins, and so the list of its fields."""

    data: memoryview
    at: int

    @classmethod
    def root(cls, buffer: pa.Buffer) -> _Table:
        data = memoryview(buffer)
        return cls(data, _unsigned(data, 0))

    def field(self, number: int) -> int | None:
        """The place of a field; None where it has its default."""
        fields = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        (size,) = struct.unpack_from("<H", self.data, fields)
        place = 4 + 2 * number
        offset = struct.unpack_from("<H", self.data, fields + place)[0] if place < size else 0
        return self.at + offset if offset else None

    def table(self, number: int) -> _Table:
        """The table that a field refers to, which must be there."""
        place = self.field(number)
        if place is None:
            raise struct.error(f"field {number} is not there")
        return _Table(self.data, place + _unsigned(self.data, place))

    def integer(self, number: int) -> int:
        """A field of 64 bits."""
        place = self.field(number)
        return 0 if place is None else struct.unpack_from("<q", self.data, place)[0]

    def pairs(self, number: int) -> Iterator[tuple[int, int]]:
        """A vector of structs of two numbers of 64 bits."""
        place = self.field(number)
        if place is None:
            return iter(())
        start = place + _unsigned(self.data, place)
        count = _unsigned(self.data, start)
        return struct.iter_unpack("<qq", self.data[start + 4 : start + 4 + 16 * count])  # type: ignore[return-value]


def _unsigned(data: memoryview, at: int) -> int:
    return struct.unpack_from("<I", data, at)[0]
