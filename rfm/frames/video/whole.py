"""Whether a recording that was copied or written only in part can be known from its own frame, before it is decoded.

FFmpeg reads such files up to where they end, so that the end of an episode would be a moment in its middle. Matroska
and WebM declare the size of their segment, AVI that of its first list, and a GIF ends in a trailer; FFmpeg refuses an
mp4 that is cut by itself. A file that was never finished by its recorder declares no size, and is what it is.
"""

from __future__ import annotations

import os
from pathlib import Path

from rfm.errors import DataError
from rfm.files.documents.regular import open_regular

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_START = 4096
"""Bytes within which a Matroska file's segment begins: the header before it has some fifty."""
_PADDING = 64


def check_whole(path: Path) -> None:
    """DataError where the file declares to be longer than it is, or can't be read."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(_START)
        stream.seek(max(size - _PADDING, 0))
        end = stream.read()
    declared = _declared(start)
    if declared > size:
        raise _cut(path, f"declares {declared} bytes and has {size}")
    if start.startswith((b"GIF87a", b"GIF89a")) and not end.rstrip(b"\0\r\n").endswith(b";"):
        raise _cut(path, "has no end")


def _declared(start: bytes) -> int:
    """The bytes that the file should have at least; 0 where it does not say."""
    if start.startswith(b"RIFF") and start[8:12] == b"AVI ":
        return 8 + int.from_bytes(start[4:8], "little")
    if not start.startswith(_EBML):
        return 0
    at = start.find(_SEGMENT)
    if at < 0:
        return 0
    length, width = _variable(start[at + 4 : at + 12])
    return 0 if length is None else at + 4 + width + length


def _variable(data: bytes) -> tuple[int | None, int]:
    """An EBML number and its width (RFC 8794, section 4); None where all its bits say that it is unknown."""
    width = 9 - data[0].bit_length() if data and data[0] else 9
    if width > min(8, len(data)):
        return None, 0
    value = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), width


def _cut(path: Path, why: str) -> DataError:
    return DataError(f"video {path} must be whole, but {why}: it was cut off; copy or record it again")
