"""Path shapes: what a viewer sees of a clip's motion without understanding the task.

A shape is a function g of the shown frame j with g(0) = 0 and g(k-1) = 1; a clip from `start` to `end` shows the
frames `start + g(j) * (end - start)`. Any shape can therefore lead to any end within reach, which is what lets a fair
coin give the two shapes of a pair to its two ends. Four families, k frames shown, b = k - 1 - m steps back after
frame m:

    straight  g = j / (k - 1)                        k distinct frames
    stall     g = min(j, m) / m                      m + 1 distinct: forward, then standing still
    retrace   g = (m - |j - m|) / (m - b)            m + 1 distinct: past the end and back over the same frames
    overshoot the same with the turn at m + 1/4 or m + 3/4: k distinct, since the way back falls between the frames
              of the way out

Two shapes make a pair only if they show equally many frames and equally many distinct ones; counting frames, distinct
frames, turns or directions then says nothing about the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
from jaxtyping import Float64

T = TypeVar("T")

MOST_PAIRS = 8
"""Pairs of shapes kept per number of shown frames, evenly chosen; each costs a pass over the catalog at the start."""


@dataclass(frozen=True)
class Shape:
    """A path shape: its values at the k shown frames."""

    values: tuple[float, ...]

    @property
    def distinct(self) -> int:
        """How many different frames a clip of this shape shows."""
        return len(set(self.values))

    @property
    def reach(self) -> float:
        """The furthest it goes, in units of the way from start to end."""
        return max(self.values)

    @cached_property
    def _least_step(self) -> float:
        return min(b - a for a, b in pairwise(sorted(set(self.values))))

    def resolution(self, spacing: int = 1) -> int:
        """Return the smallest way, in frames, on which distinct values lie `spacing` frames apart at least."""
        return int(np.ceil(spacing / self._least_step - 1e-9))


@dataclass(frozen=True)
class ShapePair:
    """Two shapes of equally many shown and equally many distinct frames."""

    first: Shape
    second: Shape

    @property
    def count(self) -> int:
        """Frames shown by each of the two clips."""
        return len(self.first.values)

    @property
    def reach(self) -> float:
        """The furthest either goes, in units of the way from start to end."""
        return max(self.first.reach, self.second.reach)

    def resolution(self, spacing: int = 1) -> int:
        """Return the smallest way, in frames, on which distinct values of either lie `spacing` frames apart."""
        return max(self.first.resolution(spacing), self.second.resolution(spacing))


def straight(k: int) -> Shape:
    """Return the shape that goes to the end without a turn."""
    return Shape(tuple(j / (k - 1) for j in range(k)))


def stall(k: int, m: int) -> Shape:
    """Return the shape that arrives at shown frame m and stands still from there."""
    return Shape(tuple(min(j, m) / m for j in range(k)))


def turning(k: int, turn: float) -> Shape:
    """Return the shape that turns back at `turn`, counted in shown frames; it must lie past the middle."""
    scale = 2 * turn - (k - 1)
    return Shape(tuple((turn - abs(j - turn)) / scale for j in range(k)))


def rewind_pairs(k: int) -> list[ShapePair]:
    """Return the pairs of k frames in which at least one clip turns back."""
    retraced, line = [m for m in range(1, k - 1) if 2 * m > k - 1], straight(k)
    pairs = [ShapePair(turning(k, m), stall(k, m)) for m in retraced]
    pairs += [ShapePair(turning(k, m), turning(k, m)) for m in retraced]
    overshot = [shape for shape in _overshoots(k) if shape.reach > 1 + 1e-9]
    pairs += [ShapePair(shape, line) for shape in overshot]
    a, b = np.triu_indices(len(overshot), 1)  # of k * k / 2 pairs of these few are kept, so only those are made
    single = np.array([shape.resolution() for shape in overshot], np.int64)
    resolution = np.concatenate([[pair.resolution() for pair in pairs], np.maximum(single[a], single[b])])
    kept = np.array(_spread(np.argsort(resolution, kind="stable").tolist()), np.int64)
    others = kept[kept >= len(pairs)] - len(pairs)
    made = iter(
        ShapePair(overshot[x], overshot[y]) for x, y in zip(a[others].tolist(), b[others].tolist(), strict=True)
    )
    return [pairs[at] if at < len(pairs) else next(made) for at in kept.tolist()]


def original_rewind_pairs(k: int) -> list[ShapePair]:
    """Return the pairs of k frames of the original recipe: straight (for the better clip), and turning back."""
    pairs = [ShapePair(straight(k), shape) for shape in _overshoots(k) if shape.reach > 1 + 1e-9]
    return _spread(sorted(pairs, key=lambda pair: pair.resolution()))


def straight_pairs(k: int) -> list[ShapePair]:
    """Return the pairs of k frames without a turn: both straight, or both standing still at the end alike."""
    pairs = [ShapePair(straight(k), straight(k))]
    pairs += [ShapePair(stall(k, m), stall(k, m)) for m in range(max(1, k // 2), k - 1)]
    return _spread(pairs)


def shown_counts(max_frames: int) -> tuple[int, ...]:
    """Return the numbers of shown frames to try, most first, down to the fewest that can show a turn."""
    halves = [max_frames]
    while halves[-1] > 3:
        halves.append(max(3, halves[-1] // 2))
    return tuple(halves)


def padded(shape: Shape, width: int) -> Float64[np.ndarray, " K"]:
    """Return the shape's values in `width` columns, the rest zero."""
    out = np.zeros(width)
    out[: len(shape.values)] = shape.values
    return out


def _overshoots(k: int) -> list[Shape]:
    turns = [m + part for m in range(1, k - 1) for part in (0.25, 0.75)]
    return [turning(k, turn) for turn in turns if 2 * turn > k - 1]


def _spread(pairs: list[T]) -> list[T]:
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return [pairs[round(i * (len(pairs) - 1) / (MOST_PAIRS - 1))] for i in range(MOST_PAIRS)]
