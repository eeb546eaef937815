"""How chunks of Zarr arrays are unpacked: codecs of a list, each within the bytes that the array's own chunk has.

Where a packing declares how much comes of it, that is looked at first; where it does not, no more is unpacked.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Callable
from typing import Any

from rfm.errors import DataError, MissingExtraError

IMAGE_CODECS = "imagecodecs_"

_FILTERS = ("delta", "shuffle")
_ZSTD = b"\x28\xb5\x2f\xfd"


def unpacker(codec: Any, version: int, place: str) -> Callable[[Any, int], Any]:
    """What undoes a codec, given the bytes of the chunk that must come of it at most."""
    name = codec.get("id") if isinstance(codec, dict) else codec
    if name in _BOUNDED:
        return _BOUNDED[name]
    if name == "crc32c" and version == 3:
        return _without_checksum
    if not isinstance(name, str) or not (name in (*_DECLARED, *_FILTERS) or name.startswith(IMAGE_CODECS)):
        listed = ", ".join([*_BOUNDED, *_DECLARED, *_FILTERS, "those of imagecodecs"])
        raise DataError(f"{place} must be packed by {listed}, but is by `{name}`: write it anew")
    settings = {"id": name} if version == 3 else codec
    decode = _numcodecs(settings, name, place).decode
    declared = _DECLARED.get(name, _undeclared)

    def unpack(data: Any, most: int) -> Any:
        if (size := declared(data)) > most:
            raise ValueError(f"{size} bytes are declared")
        return decode(data)

    return unpack


def _numcodecs(settings: Any, name: str, place: str) -> Any:
    try:
        import numcodecs
    except ImportError as error:
        raise MissingExtraError("Zarr stores need the package numcodecs: pip install 'rfm-vqa[zarr]'") from error
    if name.startswith(IMAGE_CODECS):
        try:
            from imagecodecs.numcodecs import register_codecs
        except ImportError as error:
            raise MissingExtraError(
                f"{place} is packed by {name} and needs the package imagecodecs: pip install imagecodecs"
            ) from error
        register_codecs(verbose=False)
    try:
        return numcodecs.get_codec(dict(settings))
    except (ValueError, TypeError) as error:
        raise DataError(f"{place} must be packed by a codec that numcodecs knows, but: {error}") from error


def _inflated(data: bytes, most: int) -> bytes:
    made = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data, most + 1)
    if len(made) > most:
        raise ValueError(f"more than {most} bytes come")
    return made


def _bunzipped(data: bytes, most: int) -> bytes:
    made = bz2.BZ2Decompressor().decompress(data, most + 1)
    if len(made) > most:
        raise ValueError(f"more than {most} bytes come")
    return made


def _without_checksum(data: bytes, _: int) -> bytes:
    return bytes(data)[:-4]


def _undeclared(_: bytes) -> int:
    """What a filter or a picture makes is as large as what it is given, or checked when it is there."""
    return 0


def _zstd_size(data: bytes) -> int:
    """What the frame's header declares (RFC 8878, 3.1.1.1)."""
    if data[:4] != _ZSTD:
        raise ValueError("it is no frame of zstd")
    descriptor = data[4]
    single, flag = descriptor >> 5 & 1, descriptor >> 6
    size = (1 if single else 0, 2, 4, 8)[flag]
    if not size:
        raise ValueError("its size is not declared")
    at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    return int.from_bytes(data[at : at + size], "little") + (256 if size == 2 else 0)


_BOUNDED: dict[str, Callable[[Any, int], Any]] = {"zlib": _inflated, "gzip": _inflated, "bz2": _bunzipped}
_DECLARED: dict[str, Callable[[bytes], int]] = {
    "blosc": lambda data: struct.unpack_from("<I", data, 4)[0],
    "lz4": lambda data: struct.unpack_from("<I", data)[0],
    "zstd": _zstd_size,
}
"""Where each says how much comes of it."""
