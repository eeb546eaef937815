"""Units of questions that stay together, in turn and within a limit."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from rfm.sampling.random import RowRandom


def in_turn(
    seed: int, stream: str, group: Int64[np.ndarray, " n"], within: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """Return an order in which one member of each (group, within) comes, then a second of each, and so on.

    Members and groups are shuffled; the parts of one group follow each other.
    """
    words = RowRandom(seed, np.arange(len(group), dtype=np.uint64)).words(stream)
    groups = np.argsort(np.argsort(RowRandom(seed, np.unique(group).astype(np.uint64)).words(f"{stream}/groups")))
    shuffled = groups[np.unique(group, return_inverse=True)[1]]
    order = np.lexsort((words, within, shuffled))
    changed = np.flatnonzero((np.diff(shuffled[order], prepend=-1) != 0) | (np.diff(within[order], prepend=-2) != 0))
    turn = np.arange(len(order)) - np.repeat(changed, np.diff(np.append(changed, len(order))))
    return order[np.argsort(turn, kind="stable")]


def even_parts(held: Int64[np.ndarray, " t"], limit: int | None, order: Int64[np.ndarray, " t"]) -> np.ndarray:
    """Return how many of each group's `held` to take so that `limit` in all are spread as evenly as can be.

    What does not divide goes one each to the first groups of `order` that have more.
    """
    if limit is None or limit >= held.sum():
        return held
    low, high = 0, int(held.max())
    while low < high:  # the largest level that fits
        level = (low + high + 1) // 2
        low, high = (level, high) if np.minimum(held, level).sum() <= limit else (low, level - 1)
    parts = np.minimum(held, low)
    more = order[held[order] > low][: limit - int(parts.sum())]
    parts[more] += 1
    return parts


def whole_units(first: Int64[np.ndarray, " u+1"], limit: int | None) -> int:
    """Return how many rows the whole units within `limit` have; unit u holds rows first[u] to first[u + 1] - 1."""
    return int(first[-1] if limit is None else first[np.searchsorted(first, limit, side="right") - 1])
