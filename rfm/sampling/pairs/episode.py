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
from jaxtyping import Bool, Float64, Int16, Int64

from rfm.sampling.clips.counts import FEWEST
from rfm.sampling.clips.shapes import ShapePair, padded, shown_counts
from rfm.sampling.clips.table import INTERLEAVED, Clips, interleaved, shaped
from rfm.sampling.pairs.spread import Spread
from rfm.sampling.progress import Curves, Progress
from rfm.sampling.random import RowRandom

STARTS = tuple(sixteenth / 16 for sixteenth in range(8))
"""Where the common start may lie, as a share of the episode from the side the clips leave.

With MOST_PAIRS pairs of shapes, the combinations fill the 64 bits that are kept of them."""
_BLOCK = 2048


@dataclass(frozen=True)
class _Cells:
    """The (shape pair, start) combinations for one number of shown frames, and what they reach in an episode.

    Windows hold for each of the catalog's lengths (row) and combination the run of grid frames that can be the end of
    either clip.
    """

    pairs: list[ShapePair]
    first: Int16[np.ndarray, "l c"]
    past: Int16[np.ndarray, "l c"]
    table: Float64[np.ndarray, "p 2 K"]
    """The shapes of each pair."""

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
        first, past = (np.empty((len(lengths), len(share)), np.int16) for _ in range(2))
        for row in range(0, len(lengths), _BLOCK):
            rows = slice(row, row + _BLOCK)
            n, grid = lengths[rows], progress.grid(lengths[rows])
            for cell in range(len(share)):
                start = _start(share[cell], n)
                low = start + resolution[cell]
                room = n - 1 - start - (spacing - 1 if reach[cell] > 1 else 0)  # a turn is laid on the next such frame
                high = start + np.floor(room / reach[cell] + 1e-9)
                if backwards:
                    low, high = n - 1 - high, n - 1 - low
                first[rows, cell] = (grid < low[:, None]).sum(axis=1)
                past[rows, cell] = (grid <= high[:, None]).sum(axis=1)
        table = np.array([[padded(shape, width) for shape in (pair.first, pair.second)] for pair in pairs])
        return _Cells(pairs, first, past, table)


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
        self._tiers = [
            _Cells.build(shapes(k), max_frames, lengths, progress, spacing, backwards=backwards)
            for k in self._counts.tolist()
        ]
        self._cells = np.zeros((len(frames), len(self._tiers)), np.uint64)
        """Which cells of each number of shown frames work for each kind, as bits."""
        kinds = np.flatnonzero(progress.known[progress.kinds.members])
        for low in range(0, len(kinds), _BLOCK):
            self._survey(kinds[low : low + _BLOCK])
        self._offered = self._offer()
        self.supported: Bool[np.ndarray, " n"] = eligible & np.any(self._offered[progress.kinds.of], axis=1)
        """The trajectories of which at least one pair can be drawn."""

    def draw(self, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> tuple[Clips, Clips]:
        """Return (further, less far) clips of each trajectory: the first ends at more progress."""
        clips = [np.empty((len(trajectory), self._width), np.int32) for _ in range(2)]
        count = np.empty(len(trajectory), np.int64)
        kind = self._progress.kinds.of[trajectory]
        drawn_tier = choose(self._offered[kind], random.uniform("pair/shown"))
        for tier, cells in enumerate(self._tiers):
            rows = np.flatnonzero(drawn_tier == tier)
            if len(rows):
                pair = self._draw_tier(tier, cells, random.take(rows), trajectory[rows])
                for out, drawn in zip(clips, pair, strict=True):
                    out[rows] = drawn.indices
                count[rows] = pair[0].count
        return Clips(trajectory, clips[0], count), Clips(trajectory, clips[1], count)

    def _survey(self, kind: Int64[np.ndarray, " m"]) -> None:
        """Note for each kind of curve the cells of each number of shown frames that work."""
        spreads = self._spreads(self._curves(self._progress.kinds.members[kind])[0])
        rows = np.arange(len(kind))
        for tier, cells in enumerate(self._tiers):
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

    def _curves(self, trajectory: np.ndarray) -> tuple[Curves, Int64[np.ndarray, " m"]]:
        """Return curves over the distance from the side that the clips leave, and the episodes' lengths."""
        n = self._progress.catalog.num_frames[trajectory].astype(np.int64)
        curves = self._progress.curves(trajectory)
        if self._backwards:
            curves = Curves(n[:, None] - 1 - curves.frames, curves.progress)
        return curves, n

    def _draw_tier(
        self, tier: int, cells: _Cells, random: RowRandom, trajectory: Int64[np.ndarray, " m"]
    ) -> tuple[Clips, Clips]:
        kind = self._progress.kinds.of[trajectory]
        shifts = np.arange(cells.first.shape[1], dtype=np.uint64)
        allowed = (self._cells[kind, tier][:, None] >> shifts) & np.uint64(1) == 1
        cell = choose(allowed, random.uniform("pair/cell"))
        curves, n = self._curves(trajectory)
        at, columns = (self._length[kind], cell), np.arange(curves.frames.shape[1])
        inside = (columns >= cells.first[at][:, None]) & (columns < cells.past[at][:, None])
        more, less = self._draw_ends(random, curves, inside)
        coin = random.coin("pair/shapes") & (not self._original)
        return self._lay(cells, cell, coin, trajectory, n, more, less)

    def _draw_ends(self, random: RowRandom, curves: Curves, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return two ends as distances from the side left; the first has more progress, by the gap at least."""
        progress, rows = curves.progress, np.arange(len(inside))
        odd = np.zeros_like(inside) if self._original else curves.frames % INTERLEAVED == 1
        reachable = np.zeros_like(inside)
        for side in (odd, ~odd):
            low, high = _extremes(progress, inside & (side if self._original else ~side))
            far = (progress >= (low + self._gap)[:, None]) | (progress <= (high - self._gap)[:, None])
            reachable |= side & far
        one = choose(inside & reachable, random.uniform("pair/one end"))
        apart = np.abs(progress - progress[rows, one][:, None]) >= self._gap
        if not self._original:
            apart &= odd != odd[rows, one][:, None]
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
        start = _start(np.asarray(STARTS)[cell % len(STARTS)], n)
        if self._backwards:
            start, more, less = n - 1 - start, n - 1 - more, n - 1 - less
        pair = cells.table[cell // len(STARTS)]
        rows, side = np.arange(len(cell)), coin.astype(np.int64)
        count, lay = np.full(len(cell), cells.pairs[0].count), shaped if self._original else interleaved
        return (
            lay(trajectory, start, more, pair[rows, side], count),
            lay(trajectory, start, less, pair[rows, 1 - side], count),
        )


def choose(allowed: Bool[np.ndarray, "m c"], ticket: Float64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """Return a column of each row, uniformly among those allowed; at least one must be."""
    rows, width = allowed.shape
    places = np.flatnonzero(allowed)
    past = np.searchsorted(places, np.arange(1, rows + 1) * width)
    count = np.diff(past, prepend=0)
    wanted = np.minimum((ticket * count).astype(np.int64), count - 1)
    return np.asarray(places[past - count + wanted] - np.arange(rows) * width)


def _start(share: np.ndarray | float, n: np.ndarray) -> Int64[np.ndarray, " m"]:
    return np.floor(share * (n - 1) + 0.5).astype(np.int64)


def _extremes(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = np.where(inside, values, np.inf).min(axis=1, initial=np.inf)
    high = np.where(inside, values, -np.inf).max(axis=1, initial=-np.inf)
    return low, high
