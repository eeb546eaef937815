"""Pairs of clips of one episode: from the same start to two ends that differ in progress.

The two clips share their first frame and no other: whose end is shown within the other clip would be the one that got
less far. So the ends lie an odd number of frames apart, and each clip shows every other frame, in step with its end.

For every trajectory it is known before drawing which pairs of shapes can be laid from which start so that both ends are
within reach of both shapes and differ by the gap; a draw picks one of those, then the two ends, so nothing is retried.
How many frames are shown is drawn first, evenly among those that work, 3 only where no more do. Which shape goes to
which end is left to the caller's coin. Set-up and memory (8 bytes for each number of shown frames) are for a kind of
curve: all episodes of one length whose progress is time, and each with a record of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16, Int32, Int64, UInt64

from rfm.sampling.bits import packed, pick
from rfm.sampling.clips.counts import FEWEST
from rfm.sampling.clips.shapes import ShapePair, padded, shown_counts
from rfm.sampling.clips.table import INTERLEAVED, Clips, interleaved, shaped
from rfm.sampling.pairs.spread import Spread
from rfm.sampling.progress import Curves, Progress
from rfm.sampling.random import RowRandom
from rfm.sampling.rungs import Rungs

STARTS = tuple(sixteenth / 16 for sixteenth in range(8))
"""Where the common start may lie, as a share of the episode from the side the clips leave.

With MOST_PAIRS pairs of shapes, the combinations fill the 64 bits that are kept of them."""
_BLOCK = 2048
_ROUNDING = 1e-6


@dataclass(frozen=True)
class _Cells:
    """The (shape pair, start) combinations for one number of shown frames, and what they reach in an episode.

    Windows hold for each of the catalog's lengths (row) and combination the frames that can be the end of either clip,
    and the run of grid columns that these are.
    """

    low: Int32[np.ndarray, "l c"]
    high: Int32[np.ndarray, "l c"]
    first: Int16[np.ndarray, "l c"]
    past: Int16[np.ndarray, "l c"]
    shapes: Float64[np.ndarray, "p 2 K"]
    """Those of each pair."""

    @staticmethod
    def build(
        pairs: list[ShapePair],
        width: int,
        lengths: Int64[np.ndarray, " l"],
        progress: Progress,
        spacing: int,
        *,
        backwards: bool,
    ) -> _Cells:
        resolution = np.repeat([pair.resolution(spacing) for pair in pairs], len(STARTS))
        reach = np.repeat([pair.reach for pair in pairs], len(STARTS))
        share = np.tile(STARTS, len(pairs))
        low, high = (np.empty((len(lengths), len(share)), np.int32) for _ in range(2))
        first, past = (np.empty((len(lengths), len(share)), np.int16) for _ in range(2))
        for row in range(0, len(lengths), _BLOCK):
            rows = slice(row, row + _BLOCK)
            n, grid = lengths[rows], progress.grid(lengths[rows])
            for cell in range(len(share)):
                start = _start(share[cell], n)
                near = start + resolution[cell]
                room = n - 1 - start - (spacing - 1 if reach[cell] > 1 else 0)  # a turn is laid on the next such frame
                far = start + np.floor(room / reach[cell] + 1e-9).astype(np.int64)
                if backwards:
                    near, far = n - 1 - far, n - 1 - near
                low[rows, cell], high[rows, cell] = near, far
                first[rows, cell] = (grid < near[:, None]).sum(axis=1)
                past[rows, cell] = (grid <= far[:, None]).sum(axis=1)
        shapes = np.array([[padded(shape, width) for shape in (pair.first, pair.second)] for pair in pairs])
        return _Cells(low, high, first, past, shapes)


class EpisodePairs:
    """Draws two clips of one episode that share their start; `backwards` clips leave from the late side.

    As the `original` recipe has them the first shape of a pair always goes to the clip that gets further, and the two
    clips share frames.
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
        original: bool = False,
    ):
        self._progress = progress
        self._gap = gap - 1e-6
        self._backwards = backwards
        self._original = original
        self._width = max_frames
        frames = progress.catalog.num_frames[progress.kinds.members].astype(np.int64)
        lengths, self._length = np.unique(frames, return_inverse=True)
        """Each kind's row of the cells' windows."""
        self._counts = np.array(shown_counts(max_frames))
        spacing = 1 if original else INTERLEAVED
        tiers = [
            _Cells.build(shapes(k), max_frames, lengths, progress, spacing, backwards=backwards)
            for k in self._counts.tolist()
        ]
        self._cells = np.zeros((len(frames), len(tiers)), np.uint64)
        """Which cells of each number of shown frames work for each kind, as bits."""
        kinds = np.flatnonzero(progress.known[progress.kinds.members])
        for low in range(0, len(kinds), _BLOCK):
            self._survey(kinds[low : low + _BLOCK], tiers)
        self._low, self._high = (
            _stacked([getattr(cells, side) for cells in tiers], axis=1) for side in ("low", "high")
        )
        self._shapes = _stacked([cells.shapes for cells in tiers], axis=0)
        self._offered = packed(self._offer())
        self.supported: Bool[np.ndarray, " n"] = eligible & (self._offered[progress.kinds.of] > 0)
        """The trajectories of which at least one pair can be drawn."""

    def draw(self, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> tuple[Clips, Clips]:
        """Return (further, less far) clips of each trajectory: the first ends at more progress."""
        kind = self._progress.kinds.of[trajectory]
        tier = pick(self._offered[kind], random.uniform("pair/shown"))
        cell = pick(self._cells[kind, tier], random.uniform("pair/cell"))
        rungs, window = self._progress.rungs(trajectory), (tier, self._length[kind], cell)
        inside = rungs.since(self._low[window]) & rungs.until(self._high[window])
        more, less = self._draw_ends(random, rungs, inside)
        return self._lay(random, tier, cell, trajectory, more, less)

    def _survey(self, kind: Int64[np.ndarray, " m"], tiers: list[_Cells]) -> None:
        """Note for each kind of curve the cells of each number of shown frames that work."""
        spreads = self._spreads(self._progress.curves(self._progress.kinds.members[kind]))
        rows = np.arange(len(kind))
        for tier, cells in enumerate(tiers):
            first, past = cells.first[self._length[kind]], cells.past[self._length[kind]]
            for cell in range(first.shape[1]):
                wide = np.zeros(len(kind), bool)
                for spread in spreads:
                    wide |= spread.of(rows, first[:, cell], past[:, cell]) >= self._gap
                self._cells[kind, tier] |= wide.astype(np.uint64) << np.uint64(cell)

    def _spreads(self, curves: Curves) -> list[Spread]:
        """Return how far an end can lie above another one: of any two, or of an even and an odd frame."""
        if self._original:
            return [Spread(curves.progress, curves.progress)]
        odd, none = curves.frames % INTERLEAVED == 1, np.float32(np.inf)
        high = [np.where(side, curves.progress, -none) for side in (odd, ~odd)]
        low = [np.where(side, curves.progress, none) for side in (~odd, odd)]
        return [Spread(*both) for both in zip(high, low, strict=True)]

    def _offer(self) -> Bool[np.ndarray, "k t"]:
        """Return the numbers of shown frames to draw from; the original takes the largest alone."""
        works = self._cells > 0
        if self._original:
            return works & (np.cumsum(works, axis=1) == 1)
        enough = works & (self._counts >= FEWEST)
        return np.where(np.any(enough, axis=1, keepdims=True), enough, works)

    def _draw_ends(
        self, random: RowRandom, rungs: Rungs, inside: UInt64[np.ndarray, " m"]
    ) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """Return two ends of the frames `inside`; the first has more progress, by the gap at least."""
        odd, even = inside & rungs.odd, inside & ~rungs.odd
        partners = ((inside, inside),) if self._original else ((odd, even), (even, odd))
        reachable = np.zeros_like(inside)
        for ends, others in partners:
            low, high = rungs.range(others)
            reachable |= np.where(others > 0, ends & self._apart(rungs, low, high), 0).astype(np.uint64)
        one = pick(reachable, random.uniform("pair/one end"))
        reached = rungs.at(one)
        apart = inside & self._apart(rungs, reached, reached)
        if not self._original:
            apart &= np.where(rungs.frame(one) % INTERLEAVED == 1, even, odd)
        other = pick(apart, random.uniform("pair/other end"))
        return rungs.frame(np.maximum(one, other)), rungs.frame(np.minimum(one, other))

    def _apart(
        self, rungs: Rungs, low: Float32[np.ndarray, " m"], high: Float32[np.ndarray, " m"]
    ) -> UInt64[np.ndarray, " m"]:
        """Return the frames of a progress by the gap above `low` or below `high`.

        Sums in 32 bits may miss by their rounding what was found when cells were surveyed; the gap leaves room for it.
        """
        gap = np.float32(self._gap - _ROUNDING)
        return rungs.at_least(low + gap) | rungs.at_most(high - gap)

    def _lay(
        self,
        random: RowRandom,
        tier: Int64[np.ndarray, " m"],
        cell: Int64[np.ndarray, " m"],
        trajectory: Int64[np.ndarray, " m"],
        more: Int64[np.ndarray, " m"],
        less: Int64[np.ndarray, " m"],
    ) -> tuple[Clips, Clips]:
        """Give the two shapes of the pair to the two ends by a coin and lay the clips."""
        n = self._progress.catalog.num_frames[trajectory].astype(np.int64)
        start = _start(np.asarray(STARTS)[cell % len(STARTS)], n)
        if self._backwards:
            start = n - 1 - start
        coin = random.coin("pair/shapes") & (not self._original)
        shapes, pair = self._shapes.reshape(-1, self._width), (tier * self._shapes.shape[1] + cell // len(STARTS)) * 2
        count, lay = self._counts[tier], shaped if self._original else interleaved
        return (
            lay(trajectory, start, more, shapes.take(pair + coin, axis=0), count),
            lay(trajectory, start, less, shapes.take(pair + ~coin, axis=0), count),
        )


def _stacked(tables: list[np.ndarray], axis: int) -> np.ndarray:
    """Return tables that differ in size along an axis as one; what the shorter ones lack is 0."""
    most = max(table.shape[axis] for table in tables)
    lacking = [[(0, (most - size) * (at == axis)) for at, size in enumerate(table.shape)] for table in tables]
    return np.stack([np.pad(table, width) for table, width in zip(tables, lacking, strict=True)])


def _start(share: np.ndarray | float, n: np.ndarray) -> Int64[np.ndarray, " m"]:
    return np.floor(share * (n - 1) + 0.5).astype(np.int64)
