"""Pairs of clips of one episode from one start, one forwards and one backwards: for the compatibility mixture only.

The forward clip gets further, by the gap at least; who sees the direction knows the answer. As in `episode_pairs`, what
can be drawn is known before drawing, and nothing is retried.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

from rfm.sampling.bits import packed, pick
from rfm.sampling.clips.shapes import shown_counts
from rfm.sampling.clips.table import Clips, evenly
from rfm.sampling.progress import Curves, Progress
from rfm.sampling.random import RowRandom


class OppositePairs:
    """Draws two clips of one episode that leave a common frame in opposite directions."""

    def __init__(self, progress: Progress, eligible: Bool[np.ndarray, " n"], *, max_frames: int, gap: float):
        self._progress, self._gap, self._width = progress, gap - 1e-6, max_frames
        self._count = np.where(eligible & progress.known, progress.measured(self._most_frames), 0)

    @property
    def supported(self) -> Bool[np.ndarray, " n"]:
        """The trajectories of which at least one pair can be drawn."""
        return self._count > 0

    def draw(self, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> tuple[Clips, Clips]:
        """Return (forward, backward) clips of each trajectory: the first ends at more progress."""
        curves, count = self._progress.curves(trajectory), self._count[trajectory]
        rows, columns = np.arange(len(trajectory)), np.arange(curves.frames.shape[1])
        gain, earlier = self._gain(curves, count)
        ahead = pick(packed(gain >= self._gap), random.uniform("opposite/forward end"))
        low = curves.progress <= (curves.progress[rows, ahead] - self._gap)[:, None]
        before = columns < earlier[rows, ahead][:, None]
        behind = pick(packed(low & before), random.uniform("opposite/backward end"))
        end, back = (curves.frames[rows, column].astype(np.int64) for column in (ahead, behind))
        start = back + count - 1 + random.below("opposite/start", end - back - 2 * (count - 1) + 1)
        return (
            evenly(trajectory, start, end, count, self._width),
            evenly(trajectory, start, back, count, self._width),
        )

    def _most_frames(self, trajectory: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the largest number of shown frames that works for each trajectory; 0: none does."""
        curves, out = self._progress.curves(trajectory), np.zeros(len(trajectory), np.int64)
        for count in shown_counts(self._width):
            able = (self._gain(curves, np.full(len(trajectory), count))[0] >= self._gap).any(axis=1)
            out[able & (out == 0)] = count
        return out

    def _gain(
        self, curves: Curves, count: Int64[np.ndarray, " m"]
    ) -> tuple[Float32[np.ndarray, "m G"], Int64[np.ndarray, "m G"]]:
        """Return how much more progress each grid frame has than the least before it, room for both clips between.

        Also how many grid frames are that far before it.
        """
        latest = curves.frames - 2 * (count - 1)[:, None]
        earlier = np.stack([(curves.frames <= latest[:, [j]]).sum(axis=1) for j in range(latest.shape[1])], axis=1)
        unknown = np.isnan(curves.progress)
        least = np.minimum.accumulate(np.where(unknown, np.float32(np.inf), curves.progress), axis=1)
        before = np.take_along_axis(least, np.maximum(earlier - 1, 0), axis=1)
        usable = (earlier > 0) & ~unknown & np.isfinite(before)
        return np.where(usable, np.where(unknown, 0, curves.progress) - np.where(usable, before, 0), -np.inf), earlier
