"""Pairs of clips of one episode: from the same start to two ends that differ in progress.

For every trajectory it is known before drawing which pairs of shapes can be laid from which start so that both ends are
within reach of both shapes and differ by the gap; a draw picks one of those, then the two ends, so nothing is retried.
Which shape goes to which end is left to the caller's coin. Set-up costs one pass over the catalog per shape pair and
start; memory is 9 bytes a trajectory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.sampling.clips import Clips, shaped
from rfm.sampling.progress import Curves, Progress
from rfm.sampling.random import RowRandom
from rfm.sampling.shapes import ShapePair, padded, shown_counts

STARTS = (0.0, 0.125, 0.25, 0.375)
"""Where the common start may lie, as a share of the episode from the side the clips leave."""
_BLOCK = 2048


@dataclass(frozen=True)
class _Cells:
    """The (shape pair, start) combinations for one number of shown frames."""

    pairs: list[ShapePair]

    def __len__(self) -> int:
        return len(self.pairs) * len(STARTS)

    @property
    def resolution(self) -> Int64[np.ndarray, " c"]:
        return np.repeat([pair.resolution for pair in self.pairs], len(STARTS))

    @property
    def reach(self) -> Float64[np.ndarray, " c"]:
        return np.repeat([pair.reach for pair in self.pairs], len(STARTS))

    @property
    def start(self) -> Float64[np.ndarray, " c"]:
        return np.tile(STARTS, len(self.pairs))


class EpisodePairs:
    """Draws two clips of one episode that share their start; `backwards` clips leave from the late side.

    Without `shapes_by_coin` the first shape of a pair always goes to the clip that gets further.
    """

    def __init__(
        self,
        progress: Progress,
        eligible: Bool[np.ndarray, " n"],
        *,
        shapes: Callable[[int], list[ShapePair]],
        max_frames: int,
        gap: float,
        backwards: bool,
        shapes_by_coin: bool = True,
    ):
        self._progress = progress
        self._gap = gap - 1e-6
        self._backwards = backwards
        self._by_coin = shapes_by_coin
        self._width = max_frames
        self._tiers = [_Cells(shapes(k)) for k in shown_counts(max_frames)]
        self._tier = np.full(len(eligible), -1, np.int8)
        self._cells = np.zeros(len(eligible), np.uint64)
        candidates = np.flatnonzero(eligible & progress.known)
        for low in range(0, len(candidates), _BLOCK):
            self._survey(candidates[low : low + _BLOCK])

    @property
    def supported(self) -> Bool[np.ndarray, " n"]:
        """The trajectories of which at least one pair can be drawn."""
        return self._tier >= 0

    def draw(self, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> tuple[Clips, Clips]:
        """Return (further, less far) clips of each trajectory: the first ends at more progress."""
        clips = [np.empty((len(trajectory), self._width), np.int64) for _ in range(2)]
        count = np.empty(len(trajectory), np.int64)
        for tier, cells in enumerate(self._tiers):
            rows = np.flatnonzero(self._tier[trajectory] == tier)
            if len(rows):
                pair = self._draw_tier(cells, random.take(rows), trajectory[rows])
                for out, drawn in zip(clips, pair, strict=True):
                    out[rows] = drawn.indices
                count[rows] = pair[0].count
        return Clips(trajectory, clips[0], count), Clips(trajectory, clips[1], count)

    def _survey(self, trajectory: Int64[np.ndarray, " m"]) -> None:
        """Note for each trajectory the largest number of shown frames that works, and its cells as bits."""
        curves, n = self._curves(trajectory)
        for tier, cells in enumerate(self._tiers):
            open_rows = np.flatnonzero(self._tier[trajectory] < 0)
            bits = np.zeros(len(open_rows), np.uint64)
            sub = Curves(curves.frames[open_rows], curves.progress[open_rows])
            for cell in range(len(cells)):
                inside = self._window(cells, np.full(len(open_rows), cell), sub, n[open_rows])
                bits |= self._spans(sub, inside).astype(np.uint64) << np.uint64(cell)
            rows = trajectory[open_rows]
            self._cells[rows] = bits
            self._tier[rows[bits > 0]] = tier

    def _curves(self, trajectory: np.ndarray) -> tuple[Curves, Int64[np.ndarray, " m"]]:
        """Return curves over the distance from the side that the clips leave."""
        n = self._progress.catalog.num_frames[trajectory].astype(np.int64)
        curves = self._progress.curves(trajectory)
        if self._backwards:
            curves = Curves(n[:, None] - 1 - curves.frames, curves.progress)
        return curves, n

    def _window(self, cells: _Cells, cell: np.ndarray, curves: Curves, n: np.ndarray) -> Bool[np.ndarray, "m G"]:
        """Return which grid frames can be the end of either clip."""
        start = _start(cells.start[cell], n)
        low = start + cells.resolution[cell]
        high = start + np.floor((n - 1 - start) / cells.reach[cell] + 1e-9)
        inside = (curves.frames >= low[:, None]) & (curves.frames <= high[:, None])
        return inside & ~np.isnan(curves.progress)

    def _spans(self, curves: Curves, inside: Bool[np.ndarray, "m G"]) -> Bool[np.ndarray, " m"]:
        low, high = _extremes(curves.progress, inside)
        return np.asarray(high - low >= self._gap)

    def _draw_tier(self, cells: _Cells, random: RowRandom, trajectory: np.ndarray) -> tuple[Clips, Clips]:
        shifts = np.arange(64, dtype=np.uint64)
        allowed = (self._cells[trajectory][:, None] >> shifts) & np.uint64(1) == 1
        cell = choose(allowed, random.uniform("pair/cell"))
        curves, n = self._curves(trajectory)
        more, less = self._draw_ends(random, curves, self._window(cells, cell, curves, n))
        coin = random.coin("pair/shapes") & self._by_coin
        return self._lay(cells, cell, coin, trajectory, n, more, less)

    def _draw_ends(self, random: RowRandom, curves: Curves, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return two ends as distances from the side left; the first has more progress, by the gap at least."""
        progress, rows = curves.progress, np.arange(len(inside))
        low, high = _extremes(progress, inside)
        reachable = (progress >= (low + self._gap)[:, None]) | (progress <= (high - self._gap)[:, None])
        one = choose(inside & reachable, random.uniform("pair/one end"))
        apart = np.abs(progress - progress[rows, one][:, None]) >= self._gap
        other = choose(inside & apart, random.uniform("pair/other end"))
        swap = progress[rows, one] < progress[rows, other]
        more, less = np.where(swap, other, one), np.where(swap, one, other)
        return curves.frames[rows, more], curves.frames[rows, less]

    def _lay(
        self,
        cells: _Cells,
        cell: np.ndarray,
        coin: np.ndarray,
        trajectory: np.ndarray,
        n: np.ndarray,
        more: np.ndarray,
        less: np.ndarray,
    ) -> tuple[Clips, Clips]:
        """Give the two shapes of the pair to the two ends by the coin and lay the clips."""
        start = _start(cells.start[cell], n)
        if self._backwards:
            start, more, less = n - 1 - start, n - 1 - more, n - 1 - less
        table = np.array([[padded(s, self._width) for s in (p.first, p.second)] for p in cells.pairs])
        pair = table[cell // len(STARTS)]
        rows, side = np.arange(len(cell)), coin.astype(np.int64)
        count = np.full(len(cell), cells.pairs[0].count)
        return (
            shaped(trajectory, start, more, pair[rows, side], count),
            shaped(trajectory, start, less, pair[rows, 1 - side], count),
        )


def choose(allowed: Bool[np.ndarray, "m c"], ticket: Float64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """Return a column of each row, uniformly among those allowed; at least one must be."""
    rank = np.cumsum(allowed, axis=1, dtype=np.int32)
    wanted = np.minimum((ticket * rank[:, -1]).astype(np.int32), rank[:, -1] - 1)
    return np.asarray((rank > wanted[:, None]).argmax(axis=1))


def _start(share: np.ndarray, n: np.ndarray) -> Int64[np.ndarray, " m"]:
    return np.floor(share * (n - 1) + 0.5).astype(np.int64)


def _extremes(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = np.where(inside, values, np.inf).min(axis=1, initial=np.inf)
    high = np.where(inside, values, -np.inf).max(axis=1, initial=-np.inf)
    return low, high
