"""From which frame of an episode on nothing moves any more.

Frames are looked at as grey pictures of SIZE x SIZE. The mean absolute difference of neighbours lies between that of
the quietest two (the camera's noise) and the 90th percentile; an episode is idle from the frame after which it stays in
the lowest tenth of that range. One whose quietest moment moves half as much as its liveliest is never idle.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from rfm.frames.resize import resize_frames

FRAMES, SIZE = 64, 32
STILL = 0.2
"""Mean grey levels; an episode whose frames differ by less all along tells nothing."""
FEWEST_FRAMES = 8
"""Shorter episodes are not looked at: their shares would be coarse."""


def looked_at(count: int) -> Int64[np.ndarray, " k"]:
    """Return which of `count` frames are looked at, FRAMES at most."""
    return np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(np.int64))


def done_share(frames: UInt8[np.ndarray, "k h w 3"], shown: Int64[np.ndarray, " k"], count: int) -> float | None:
    """Return the share of an episode's time, in (0, 1], at which it is done; None where it tells nothing.

    `frames` are those at `shown` of its `count` frames.
    """
    idle = idle_from(frames)
    return None if idle is None else (int(shown[idle]) + 1) / count


def idle_from(frames: UInt8[np.ndarray, "t h w 3"]) -> int | None:
    """Return the first of the frames after which nothing moves, the last where it never stops; None: it never moves."""
    small = resize_frames(frames, SIZE, SIZE) if min(frames.shape[1:3]) > SIZE else frames
    change = _changes(small.mean(axis=3, dtype=np.float32))
    low, high = float(change.min()), float(np.quantile(change, 0.9))
    if high < STILL:
        return None
    if low > high / 2:
        return len(frames) - 1
    return int(np.flatnonzero(change > low + 0.1 * (high - low))[-1]) + 1


def _changes(grey: Float32[np.ndarray, "t h w"]) -> Float32[np.ndarray, " t-1"]:
    return np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))
