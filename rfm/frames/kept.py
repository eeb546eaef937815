"""The frames kept of an episode, brought to their size one by one: memory holds them once, and one frame as recorded.

In: frames in order, or buffers filled in order. Out: one array. Its memory is taken with the first frame, when the size
is known and has been held against `rfm.files.limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.files.limits import SMALLER, check_kept, check_pixels, within_memory
from rfm.frames.resize import resize_frames

Frame = UInt8[np.ndarray, "h w 3"]
Sizing = Callable[[int, int], tuple[int, int]]
"""The height and width to keep of a frame of this height and width."""


def as_recorded(height: int, width: int) -> tuple[int, int]:
    """The size itself."""
    return height, width


class Slots:
    """Room for `count` frames of one size, filled through buffers of the recorded size."""

    def __init__(
        self, count: int, height: int, width: int, place: str, sizing: Sizing = as_recorded, way_out: str = SMALLER
    ):
        check_pixels(height, width, place)
        size = sizing(height, width)
        check_kept(count, *size, place, way_out)
        with within_memory(f"the frames of {place}"):
            self.frames = np.empty((count, *size, 3), np.uint8)
            self._buffer = None if size == (height, width) else np.empty((height, width, 3), np.uint8)

    @property
    def resizes(self) -> bool:
        """Whether frames are kept in another size than they were recorded in."""
        return self._buffer is not None

    def buffer(self, at: int) -> Frame:
        """Where frame `at` is to be written as recorded; `settle` comes next."""
        return self.frames[at] if self._buffer is None else self._buffer

    def settle(self, at: int) -> None:
        """Bring what was written for frame `at` to its size."""
        if self._buffer is not None:
            self.frames[at] = resize_frames(self._buffer[np.newaxis], *self.frames.shape[1:3])[0]


def gathered(
    frames: Iterable[Frame], count: int, place: str, sizing: Sizing = as_recorded
) -> UInt8[np.ndarray, "t h w 3"]:
    """`count` frames, or fewer where no more come, each brought to its size as it comes; none is an empty array.

    DataError where their sizes differ, or they would take too much memory.
    """
    kept: UInt8[np.ndarray, "t h w 3"] | None = None
    at = 0
    for frame in frames:
        size = sizing(*frame.shape[:2])
        if kept is None:
            check_kept(count, *size, place)
            with within_memory(f"the frames of {place}"):
                kept = np.empty((count, *size, 3), np.uint8)
        if size != kept.shape[1:3]:
            raise DataError(f"{place} must have frames of one size, but their size changes on the way")
        kept[at] = resize_frames(frame[np.newaxis], *size)[0]
        at += 1
    return np.empty((0, 1, 1, 3), np.uint8) if kept is None else kept[:at]
