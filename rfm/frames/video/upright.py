"""A decoded frame as a viewer sees it: RGB by the colour space it declares, turned as its display matrix asks.

Colours: PyAV passes a frame's colour space on from 17 on; earlier releases read BT.709, BT.2020 and full range as
BT.601, unless two of the colour arguments differ. RGB is full range, so naming that range beside a limited source (and
none beside a full one) is true on all of them, and gives what FFmpeg itself converts to.
Orientation: a display matrix maps a stored pixel (x, y) to (a x + c y, b x + d y), with a, b, c, d in 16.16 fixed
point (ISO/IEC 14496-12, 8.5.2). All eight ways to turn and mirror a picture occur; FFmpeg's autorotate does the same.
"""

from __future__ import annotations

import struct
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

from rfm.errors import DataError

_LIMITED, _FULL, _UNSPECIFIED = 1, 2, 0
"""FFmpeg's colour ranges."""
_FULL_BY_FORMAT = ("yuvj", "gray", "ya")
"""Beginnings of pixel formats that use the full range whether they say so or not."""
_ONE_THREAD: dict[str, int] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
"""A pool of threads for each picture gains nothing on small ones, and hangs in a process that is forked later."""
_SLANT = 0.0175
"""Share of a turn's length that may point along the other axis: the sine of one degree."""


class Viewer:
    """Turns the frames of one stream into RGB, the way up that they are shown; transparency is left out."""

    def __init__(self, place: str) -> None:
        self._place = place
        """What errors call the stream."""
        self._converter = VideoReformatter()
        self._matrix: bytes | None = None
        self._begun = False

    def rgb(self, frame: Any) -> UInt8[np.ndarray, "h w 3"]:
        """The frame; DataError where it is no colour, or stands at a slant."""
        if not self._begun:  # once a stream: PyAV ties a frame whose side data were looked at into a reference cycle
            _check_is_colour(frame, self._place)
            matrix = frame.side_data.get("DISPLAYMATRIX")
            self._matrix, self._begun = None if matrix is None else bytes(matrix), True
        full = frame.color_range == _FULL or frame.format.name.startswith(_FULL_BY_FORMAT)
        pixels = self._converter.reformat(
            frame,
            format="rgb24",
            src_color_range=_FULL if full else _LIMITED,
            dst_color_range=_UNSPECIFIED if full else _FULL,
            **_ONE_THREAD,
        ).to_ndarray()
        return pixels if self._matrix is None else displayed(pixels, self._matrix, self._place)


def displayed(pixels: UInt8[np.ndarray, "h w 3"], matrix: bytes, place: str) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels turned and mirrored by a display matrix of nine int32; one without extent leaves them as they are."""
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if min(straight, crossed) > _SLANT * max(straight, crossed):
        raise DataError(
            f"{place} must be shown straight or turned by quarters, but its display matrix is ({a}, {b}, {c}, {d}): "
            "encode it anew, turned as it should be (ffmpeg -i IN OUT)"
        )
    if straight >= crossed:
        horizontal, vertical = a, d
    else:
        pixels, horizontal, vertical = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if vertical < 0 else 1, :: -1 if horizontal < 0 else 1]


def _check_is_colour(frame: Any, place: str) -> None:
    """Refuse depth: a single channel of more bits than a colour has."""
    channels = frame.format.components
    if len(channels) == 1 and channels[0].bits > 8:
        raise DataError(
            f"{place} must be in colour or 8 bits of grey, but is {frame.format.name}, as depth maps are: "
            "name the colour video"
        )
