"""Clips: which frames of a trajectory are shown, and in which order.

A clip is a path through an episode, sampled evenly with first and last frame included. Whole blocks of clips are
arrays: a row's indices fill its first `count` columns, the rest is -1.

Shape legend: m rows, K the most frames a clip shows (`data.max_frames`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64

from rfm.frames.spacing import nearest

INTERLEAVED = 2
"""How far apart, in frames, the frames of a clip lie that leaves the ones between to the other clip of its pair."""


@dataclass(frozen=True)
class Clips:
    """A block of clips: trajectory number, shown frames (0-based) and how many of the K columns are used."""

    trajectory: Int64[np.ndarray, " m"]
    indices: Int32[np.ndarray, "m K"]
    count: Int64[np.ndarray, " m"]

    def end(self) -> Int64[np.ndarray, " m"]:
        """Return the last shown frame of each clip."""
        return self.indices[np.arange(len(self.count)), self.count - 1].astype(np.int64)

    def lowest(self) -> Int64[np.ndarray, " m"]:
        """Return the lowest frame number of each clip."""
        shown = np.where(self.indices >= 0, self.indices, np.iinfo(np.int32).max)
        return shown.min(axis=1).astype(np.int64)

    @staticmethod
    def joined(parts: Sequence[Clips], order: Int64[np.ndarray, " m"]) -> Clips:
        """Return the clips of all parts, one after the other, in this order."""
        columns = zip(*((part.trajectory, part.indices, part.count) for part in parts), strict=True)
        trajectory, indices, count = (np.concatenate(column)[order] for column in columns)
        return Clips(trajectory, indices, count)

    @staticmethod
    def where(first: np.ndarray, a: Clips, b: Clips) -> Clips:
        """Return row by row `a` where `first` is true, else `b`."""
        return Clips(
            np.where(first, a.trajectory, b.trajectory),
            np.where(first[:, None], a.indices, b.indices),
            np.where(first, a.count, b.count),
        )


def evenly(
    trajectory: Int64[np.ndarray, " m"],
    start: Int64[np.ndarray, " m"],
    end: Int64[np.ndarray, " m"],
    count: Int64[np.ndarray, " m"],
    width: int,
) -> Clips:
    """Return straight paths from `start` to `end`, forwards or backwards, `count` >= 2 frames each."""
    step = (end - start) / np.maximum(count - 1, 1)
    return _clips(trajectory, nearest(start[:, None] + np.arange(width) * step[:, None]), count)


def bounce(
    trajectory: Int64[np.ndarray, " m"],
    end: Int64[np.ndarray, " m"],
    step: Float64[np.ndarray, " m"],
    turn: Int64[np.ndarray, " m"],
    count: Int64[np.ndarray, " m"],
    width: int,
) -> Clips:
    """Return paths that go forward, turn back at shown frame number `turn`, and reach `end`; `step` frames apart."""
    peak = end + (count - 1 - turn) * step
    away = np.abs(np.arange(width) - turn[:, None])
    return _clips(trajectory, nearest(peak[:, None] - away * step[:, None]), count)


def shaped(
    trajectory: Int64[np.ndarray, " m"],
    start: Int64[np.ndarray, " m"],
    end: Int64[np.ndarray, " m"],
    shape: Float64[np.ndarray, "m K"],
    count: Int64[np.ndarray, " m"],
) -> Clips:
    """Return paths `start + shape * (end - start)`; a shape is 0 at its first frame and 1 at its last."""
    way = (end - start).astype(np.int32)[:, None]
    offset = nearest(shape * np.abs(way)) * np.sign(way)
    return _clips(trajectory, start.astype(np.int32)[:, None] + offset, count)


def interleaved(
    trajectory: Int64[np.ndarray, " m"],
    start: Int64[np.ndarray, " m"],
    end: Int64[np.ndarray, " m"],
    shape: Float64[np.ndarray, "m K"],
    count: Int64[np.ndarray, " m"],
) -> Clips:
    """Return paths as `shaped` does, on every other frame: those an even way from `end`, beside the start.

    Two clips of one start whose ends are an odd way apart then share no frame but that. Distinct frames of the path
    must lie INTERLEAVED frames apart at least; it may go one frame further than the shape.
    """
    way = np.abs(end - start).astype(np.int32)[:, None]
    odd = way % INTERLEAVED
    offset = np.where(shape > 0, odd + INTERLEAVED * nearest((shape * way - odd) / INTERLEAVED), 0)
    sign = np.sign(end - start).astype(np.int32)[:, None]
    return _clips(trajectory, start.astype(np.int32)[:, None] + offset.astype(np.int32) * sign, count)


def _clips(trajectory: np.ndarray, path: Int32[np.ndarray, "m K"], count: np.ndarray) -> Clips:
    return Clips(trajectory, np.where(np.arange(path.shape[1]) < count[:, None], path, np.int32(-1)), count)
