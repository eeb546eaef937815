"""MCAP files that anybody may have written: records by their frames, none of which is believed before it is checked.

A file is walked record by record, chunk by chunk, so that memory holds one of them; what a chunk inflates to is bounded
by what it declares, and that by `rfm.files.limits`. Checksums of chunks are verified.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rfm.errors import DataError, MissingExtraError
from rfm.files.documents.regular import open_regular
from rfm.files.lfs import check_fetched
from rfm.files.limits import check_block
from rfm.ingest.mcap.chunks import inflated_chunk
from rfm.ingest.mcap.messages import picture_kind

_MAGIC = b"\x89MCAP0\r\n"
_HEAD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x02, 0x03, 0x04, 0x05, 0x06
_STATISTICS, _METADATA, _METADATA_INDEX, _DATA_END = 0x0B, 0x0C, 0x0D, 0x0F
_FOOTER_SIZE = 20
_MOST_DECLARED = 2**26
_LEAST = 2 * len(_MAGIC) + _HEAD.size + _FOOTER_SIZE
_CUT_OFF = "is cut off or damaged: `mcap recover` (the MCAP command line tool) saves what is left"


class Topic(NamedTuple):
    """A topic, what it holds in words, and the kind of picture that is (`messages.py`), None where it is none."""

    name: str
    holds: str
    kind: str | None


class Message(NamedTuple):
    """A message and where it lies: in the chunk at byte `chunk` (0: in none), at byte `start` of chunk or file."""

    topic: Topic
    log_time: int
    chunk: int
    start: int
    data: memoryview


class _Record(NamedTuple):
    opcode: int
    start: int
    size: int


class McapFile:
    """An open file."""

    def __init__(self, stream: BinaryIO, path: Path):
        self._stream, self._path = stream, path
        size = stream.seek(0, os.SEEK_END)
        if self._read(0, min(size, len(_MAGIC))) != _MAGIC:
            raise DataError(f"{path} must be an MCAP file, but does not begin as one")
        self._end = size - len(_MAGIC) - _FOOTER_SIZE - _HEAD.size
        if size < _LEAST or self._read(size - len(_MAGIC), len(_MAGIC)) != _MAGIC:
            raise DataError(f"{path} must be a whole MCAP file, but {_CUT_OFF}")
        self._inflated: tuple[int, bytes] = (0, b"")

    def contents(self) -> Contents:
        """Topics and metadata: as the summary at the end tells them, or, where it leaves any out, all that is there."""
        return self._summary() or self._scanned()

    def messages(self) -> Iterator[Message]:
        """All messages, in the order they lie in the file; each is valid until the next is asked for."""
        contents = Contents()
        for chunk, start, opcode, content in self._data():
            contents.add(opcode, content)
            if opcode == _MESSAGE:
                channel, _, log_time, _ = _MESSAGE_HEAD.unpack_from(content)
                yield Message(contents.topic(channel), log_time, chunk, start, content[_MESSAGE_HEAD.size :])

    def message(self, chunk: int, start: int) -> memoryview:
        """The data of the message that `messages` found here."""
        if chunk:
            inflated = memoryview(self._chunk(chunk))
            _, size = _HEAD.unpack_from(inflated, start)
            content = inflated[start + _HEAD.size : start + _HEAD.size + size]
        else:
            content = self._content(start)
        return content[_MESSAGE_HEAD.size :]

    def _summary(self) -> Contents | None:
        from mcap.records import Footer

        opcode, size = _HEAD.unpack(self._read(self._end, _HEAD.size))
        if (opcode, size) != (_FOOTER, _FOOTER_SIZE):
            raise DataError(f"{self._path} must be a whole MCAP file, but {_CUT_OFF}")
        start = _parsed(Footer, self._content(self._end)).summary_start
        if not start:
            return None
        contents = Contents()
        for record in self._records(start):
            contents.add(record.opcode, self._content(record.start))
        for at in contents.metadata_at:
            contents.add(_METADATA, self._content(at))
        return contents if contents.is_whole() else None

    def _scanned(self) -> Contents:
        contents = Contents()
        for _, _, opcode, content in self._data():
            contents.add(opcode, content)
        return contents

    def _data(self) -> Iterator[tuple[int, int, int, memoryview]]:
        """(chunk, start, opcode, content) of each record of the data section, those in chunks among them."""
        wanted = (_SCHEMA, _CHANNEL, _MESSAGE, _METADATA)
        for record in self._records(len(_MAGIC)):
            if record.opcode == _DATA_END:
                return
            if record.opcode == _CHUNK:
                inflated = memoryview(self._chunk(record.start))
                place = f"the chunk at byte {record.start} of {self._path}"
                for inner in _framed(partial(_part, inflated), 0, len(inflated), place):
                    start = inner.start + _HEAD.size
                    yield record.start, inner.start, inner.opcode, inflated[start : start + inner.size]
            elif record.opcode in wanted:
                yield 0, record.start, record.opcode, self._content(record.start)

    def _records(self, start: int) -> Iterator[_Record]:
        if not len(_MAGIC) <= start <= self._end:
            raise DataError(f"{self._path} must have its summary within it, but declares it at byte {start}")
        return _framed(self._read, start, self._end, str(self._path))

    def _content(self, start: int) -> memoryview:
        _, size = _HEAD.unpack(self._read(start, _HEAD.size))
        check_block(size, f"the record at byte {start} of {self._path}")
        return memoryview(self._read(start + _HEAD.size, size))

    def _chunk(self, start: int) -> bytes:
        """What the chunk at this byte inflates to; the last one is kept."""
        from mcap.records import Chunk

        if self._inflated[0] != start:
            self._inflated = (0, b"")
            chunk = _parsed(Chunk, self._content(start))
            self._inflated = (start, inflated_chunk(chunk, f"the chunk at byte {start} of {self._path}"))
        return self._inflated[1]

    def _read(self, start: int, size: int) -> bytes:
        self._stream.seek(start)
        data = self._stream.read(size)
        if len(data) != size:
            raise DataError(f"{self._path} must be a whole MCAP file, but {_CUT_OFF}")
        return data


class Contents:
    """Topics and metadata, gathered from records."""

    def __init__(self) -> None:
        self.metadata: dict[str, list[str]] = {}
        self.metadata_at: list[int] = []
        self._schemas: dict[int, Any] = {}
        self._channels: dict[int, Any] = {}
        self._topics: dict[int, Topic] = {}
        self._counts: Counter[int] = Counter()
        self._statistics: Any = None
        self._size = 0

    def add(self, opcode: int, content: memoryview) -> None:
        """Take in a record."""
        if opcode == _MESSAGE:
            self._counts[_MESSAGE_HEAD.unpack_from(content)[0]] += 1
        elif opcode in (_SCHEMA, _CHANNEL, _METADATA, _METADATA_INDEX, _STATISTICS):
            self._declare(opcode, content)

    def topic(self, channel: int) -> Topic:
        """The topic of a channel; DataError where none was declared."""
        if channel not in self._topics:
            raise DataError(f"the channel of each message must be declared before it, but channel {channel} is not")
        return self._topics[channel]

    def topics(self) -> list[Topic]:
        """The topics that have messages."""
        return list(dict.fromkeys(self.topic(channel) for channel, count in sorted(self._counts.items()) if count))

    def is_whole(self) -> bool:
        """Whether a summary tells all topics, how many messages each has, and where all metadata is."""
        told = self._statistics
        return (
            told is not None
            and told.message_count == sum(self._counts.values())
            and told.metadata_count == len(self.metadata_at)
            and all(channel in self._topics for channel, count in self._counts.items() if count)
        )

    def _declare(self, opcode: int, content: memoryview) -> None:
        from mcap import records

        if opcode == _SCHEMA:
            self._once(self._schemas, _parsed(records.Schema, content), len(content))
        elif opcode == _CHANNEL:
            channel = _parsed(records.Channel, content)
            if self._once(self._channels, channel, len(content)):
                self._name_topic(channel)
        elif opcode == _METADATA:
            self._grow(len(content))
            found = _parsed(records.Metadata, content)
            self.metadata |= {f"{found.name}.{key}": [value] for key, value in found.metadata.items()}
        elif opcode == _METADATA_INDEX:
            self._grow(len(content))
            self.metadata_at.append(_parsed(records.MetadataIndex, content).offset)
        else:
            self._statistics = _parsed(records.Statistics, content)
            self._counts = Counter(self._statistics.channel_message_counts)

    def _once(self, known: dict[int, Any], declared: Any, size: int) -> bool:
        """Whether a schema or a channel is new; writers repeat them, but none may change."""
        if known.setdefault(declared.id, declared) != declared:
            name = type(declared).__name__.lower()
            raise DataError(f"{name} {declared.id} must be declared alike each time, but is not")
        new = known[declared.id] is declared
        self._grow(size if new else 0)
        return new

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > _MOST_DECLARED:
            raise DataError(f"schemas, channels and metadata must take at most {_MOST_DECLARED} bytes, but take more")

    def _name_topic(self, channel: Any) -> None:
        schema = self._schemas.get(channel.schema_id)
        if schema is None and channel.schema_id:
            return  # a summary may leave schemas out; in the data, its messages then belong to no known channel
        kind, holds = picture_kind(channel.message_encoding, schema)
        self._topics[channel.id] = Topic(channel.topic, holds, kind)


@contextmanager
def opened(path: Path) -> Iterator[McapFile]:
    """The open file; whatever is found wrong with it within the block is a DataError."""
    try:
        import mcap.exceptions
        import mcap_ros2.decoder  # noqa: F401  tells now what would be missing later
        import zstandard
    except ImportError as error:
        raise MissingExtraError(
            "MCAP files need the packages mcap and mcap-ros2-support: pip install 'rfm-vqa[mcap]'"
        ) from error
    check_fetched(path)
    faults = (mcap.exceptions.McapError, zstandard.ZstdError, struct.error, ValueError, EOFError, RuntimeError)
    try:
        with open_regular(path) as stream:
            yield McapFile(stream, path)
    except (*faults, OverflowError, MemoryError) as error:
        what = str(error) or type(error).__name__
        raise DataError(f"{path} must be a readable MCAP file, but reading it gives: {what}") from error


def _framed(read: Callable[[int, int], Any], start: int, end: int, place: str) -> Iterator[_Record]:
    while start < end:
        opcode, size = _HEAD.unpack(read(start, _HEAD.size)) if end - start >= _HEAD.size else (0, end)
        if start + _HEAD.size + size > end:
            raise DataError(f"{place} must hold whole records, but the one at byte {start} {_CUT_OFF}")
        yield _Record(opcode, start, size)
        start += _HEAD.size + size


def _part(held: memoryview, start: int, size: int) -> memoryview:
    return held[start : start + size]


def _parsed(kind: Any, content: memoryview) -> Any:
    from mcap.data_stream import ReadDataStream

    return kind.read(ReadDataStream(BytesIO(content)))
