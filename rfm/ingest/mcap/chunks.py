"""What a chunk inflates to: bounded by what it declares, and that by `rfm.files.limits`; its checksum is verified."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

from rfm.errors import DataError
from rfm.files.limits import MOST_PICTURE_BYTES, check_block


def inflated_chunk(chunk: Any, place: str) -> bytes:
    """The records of a chunk, no byte more than it declares."""
    size = chunk.uncompressed_size
    check_block(size, place)
    if chunk.compression not in _INFLATE:
        raise DataError(f"{place} must be compressed by zstd or lz4, or not at all, but is by `{chunk.compression}`")
    data = _INFLATE[chunk.compression](chunk.data, size + 1)
    if len(data) != size:
        more = "more" if len(data) > size else str(len(data))
        raise DataError(f"{place} must inflate to the {size} bytes it declares, but gives {more}")
    if chunk.uncompressed_crc and zlib.crc32(data) != chunk.uncompressed_crc:
        raise DataError(f"{place} must have the checksum it declares, but has another: it is damaged")
    return data


def _zstd(data: bytes, most: int) -> bytes:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=MOST_PICTURE_BYTES)
    with decompressor.stream_reader(BytesIO(data), read_across_frames=True) as stream:
        return bytes(stream.read(most))


def _lz4(data: bytes, most: int) -> bytes:
    import lz4.frame

    return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=most))


_INFLATE: dict[str, Callable[[bytes, int], bytes]] = {"": lambda data, most: data[:most], "zstd": _zstd, "lz4": _lz4}
