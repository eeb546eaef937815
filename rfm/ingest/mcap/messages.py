"""Pictures in messages of ROS 2 (CDR): sensor_msgs/msg/CompressedImage and sensor_msgs/msg/Image.

A file brings the definitions of its messages. They are held against those of ROS 2, by which messages are decoded: what
a stranger's definition would make a decoder do is never done.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.files.limits import check_pixels
from rfm.frames.pictures import decode_picture

COMPRESSED, RAW = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image"
KINDS = (COMPRESSED, RAW)
_HEADER = "\n===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"
_DEFINITIONS = {
    COMPRESSED: f"std_msgs/Header header\nstring format\nuint8[] data{_HEADER}",
    RAW: (
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
        f"uint8[] data{_HEADER}"
    ),
}
_ENCODINGS = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "mono8": (1, (0, 0, 0)), "rgba8": (4, (0, 1, 2)),
              "bgra8": (4, (2, 1, 0))}  # fmt: skip
"""Bytes of a pixel, and which of them are red, green and blue. Of one byte each, their order has no meaning."""
_NANOSECONDS = 10**9


def picture_kind(encoding: str, schema: Any) -> tuple[str | None, str]:
    """The kind of picture that a topic's messages are, None where they are none that is read; and what they are."""
    if schema is None:
        return None, f"{encoding} without a definition"
    if schema.name not in _DEFINITIONS or encoding != "cdr" or schema.encoding not in ("ros2msg", "ros2idl"):
        return None, f"{schema.name} in {encoding}"
    if schema.encoding == "ros2msg" and _fields(schema.data.decode()) != _fields(_DEFINITIONS[schema.name]):
        return None, f"{schema.name} of other fields than in ROS 2"
    return schema.name, schema.name


def header_stamp(data: memoryview) -> int:
    """The nanoseconds of `header.stamp`, the first field of both kinds."""
    (representation,) = struct.unpack_from("xB", data)
    seconds, nanoseconds = struct.unpack_from("<II" if representation & 1 else ">II", data, 4)
    return int(seconds) * _NANOSECONDS + int(nanoseconds)


def decode_message(kind: str, data: memoryview, place: str) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of a message; DataError, calling it `place`, where it holds none that can be read."""
    try:
        message = _decoder(kind)(bytes(data))
    except (struct.error, ValueError) as error:
        raise DataError(f"{place} must be a whole {kind}, but decoding it gives: {error}") from error
    return decode_picture(message.data, place) if kind == COMPRESSED else _raw(message, place)


def _raw(message: Any, place: str) -> UInt8[np.ndarray, "h w 3"]:
    if message.encoding not in _ENCODINGS:
        raise DataError(f"{place} must have the encoding {', '.join(_ENCODINGS)}, but has `{message.encoding}`")
    size, order = _ENCODINGS[message.encoding]
    height, width, step = message.height, message.width, message.step
    check_pixels(height, width, place)
    if min(height, width) < 1 or step < width * size or len(message.data) != step * height:
        raise DataError(
            f"{place} must hold `height` rows of `step` bytes, but {len(message.data)} bytes are no {width} x {height} "
            f"pixels of {message.encoding} with a step of {step}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, : width * size]
    return np.ascontiguousarray(rows.reshape(height, width, size)[:, :, order])


@cache
def _decoder(kind: str) -> Callable[[bytes], Any]:
    from mcap.records import Schema
    from mcap_ros2.decoder import DecoderFactory

    schema = Schema(id=1, name=kind, encoding="ros2msg", data=_DEFINITIONS[kind].encode())
    decoder: Callable[[bytes], Any] = DecoderFactory().decoder_for("cdr", schema)
    return decoder


def _fields(definition: str) -> list[tuple[str, ...]]:
    """(type without its package, name) of the fields of the first message in a definition."""
    own = definition.partition("\n===")[0]
    lines = (line.partition("#")[0].split() for line in own.splitlines())
    return [(words[0].rpartition("/")[2], *words[1:]) for words in lines if words]
