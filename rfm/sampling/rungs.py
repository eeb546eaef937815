"""Frames in the order of their progress: what the ends of clips are drawn from.

A row has up to 64 frames of an episode (`Progress.grid`), so a set of them is one word (`bits`), the frames of some
range of progress are neighbours, and the nearest to any progress is found by counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64, UInt64

from rfm.sampling.bits import below, count, nth, packed
from rfm.sampling.clips.extremes import at_bottom, at_top


@dataclass(frozen=True)
class Rungs:
    """Frames of m episodes by their progress, the least first and unknown ones (NaN) last."""

    frames: Int32[np.ndarray, "m 64"]
    progress: Float32[np.ndarray, "m 64"]
    known: UInt64[np.ndarray, " m"]
    """Frames whose progress is known; numbers beyond a short episode's end have none."""
    bottom: UInt64[np.ndarray, " m"]
    """Frames whose answer is 0."""
    top: UInt64[np.ndarray, " m"]
    """Frames whose answer is 100."""
    odd: UInt64[np.ndarray, " m"]
    """Frames of odd number."""

    @staticmethod
    def sort(frames: Int32[np.ndarray, "m 64"], progress: Float32[np.ndarray, "m 64"]) -> Rungs:
        """Return the rungs of frames in any order."""
        order = np.argsort(progress, axis=1, kind="stable")
        frames, progress = (np.take_along_axis(values, order, axis=1) for values in (frames, progress))
        known, bottom, top = ~np.isnan(progress), at_bottom(progress), at_top(progress)
        return Rungs(frames, progress, packed(known), packed(bottom), packed(top), packed(frames % 2 == 1))

    @staticmethod
    def joined(parts: Sequence[Rungs]) -> Rungs:
        """Return the rows of all parts, one after the other."""
        columns = zip(*((p.frames, p.progress, p.known, p.bottom, p.top, p.odd) for p in parts), strict=True)
        return Rungs(*(np.concatenate(column) for column in columns))

    def take(self, rows: Int64[np.ndarray, " k"]) -> Rungs:
        """Return those of some rows."""
        tables = (table.take(rows, axis=0) for table in (self.frames, self.progress))
        return Rungs(*tables, *(words[rows] for words in (self.known, self.bottom, self.top, self.odd)))

    def frame(self, rung: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the frame at a rung of each row."""
        return self.frames[np.arange(len(rung)), rung].astype(np.int64)

    def at(self, rung: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, " m"]:
        """Return the progress at a rung of each row."""
        return self.progress[np.arange(len(rung)), rung]

    def at_frame(self, frame: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, " m"]:
        """Return the progress at a frame of each row, which must be one of its rungs."""
        return self.at((self.frames == frame.astype(np.int32)[:, None]).argmax(axis=1))

    def at_least(self, progress: Float[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
        """Return the frames of at least this progress."""
        return packed(self.progress >= _rounded(progress, np.float32(np.inf))[:, None])

    def at_most(self, progress: Float[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
        """Return the frames of at most this progress."""
        return packed(self.progress <= _rounded(progress, np.float32(-np.inf))[:, None])

    def since(self, frame: Int64[np.ndarray, " m"] | int) -> UInt64[np.ndarray, " m"]:
        """Return the frames from this one on."""
        return packed(self.frames >= _column(frame))

    def until(self, frame: Int64[np.ndarray, " m"] | int) -> UInt64[np.ndarray, " m"]:
        """Return the frames up to this one."""
        return packed(self.frames <= _column(frame))

    def range(self, some: UInt64[np.ndarray, " m"]) -> tuple[Float32[np.ndarray, " m"], Float32[np.ndarray, " m"]]:
        """Return the least and the most progress of some frames, at least one of each row."""
        return self.at(nth(some, np.zeros(len(some), np.int64))), self.at(nth(some, count(some) - 1))

    def nearest(self, some: UInt64[np.ndarray, " m"], progress: Float32[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
        """Return of some frames, at least one of each row, those whose progress is nearest to this."""
        before = count(some & below(count(packed(self.progress < progress[:, None]))))
        above = self.at(nth(some, np.minimum(before, count(some) - 1)))
        under = self.at(nth(some, np.maximum(before - 1, 0)))
        found = np.where(np.abs(above - progress) < np.abs(progress - under), above, under)
        return some & packed(self.progress == found[:, None])


def _rounded(bound: Float[np.ndarray, " m"], towards: np.float32) -> Float32[np.ndarray, " m"]:
    """Return bounds in 32 bits such that comparing with them is comparing with the exact ones."""
    near = bound.astype(np.float32)
    outside = near < bound if towards > 0 else near > bound
    return np.where(outside, np.nextafter(near, towards), near)


def _column(frame: Int64[np.ndarray, " m"] | int) -> np.ndarray | int:
    return frame if isinstance(frame, int) else frame.astype(np.int32)[:, None]
