"""Turns: everybody has some things, and in each turn everybody who has one left gives one.

So of M things none comes twice before all have come, and those who have few are not drowned by those who have many.
Closed form: a row finds its turn by a binary search, and its owner there by a permutation that the seed chooses.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from rfm.sampling.random import permute


class Turns:
    """`widths[i]` things of owner i, at least 1 each; `offsets[i]` is the one it gives first."""

    def __init__(self, widths: Int64[np.ndarray, " k"], offsets: Int64[np.ndarray, " k"]):
        self._widths, self._offsets = widths, offsets
        self._by_width = np.argsort(-widths, kind="stable")
        longest = int(widths.max(initial=0))
        with_more = len(widths) - np.searchsorted(np.sort(widths), np.arange(longest), side="right")
        self._starts = np.concatenate([[0], np.cumsum(with_more)]).astype(np.int64)
        """The number of the first thing of each turn."""

    @property
    def total(self) -> int:
        """How many things there are."""
        return int(self._starts[-1])

    def at(
        self, number: Int64[np.ndarray, " m"], seed: int, stream: str
    ) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """Return the owner and which of its things; after all have come they come again, in the same order."""
        number = number % self.total
        turn = np.searchsorted(self._starts, number, side="right") - 1
        place, giving = number - self._starts[turn], np.diff(self._starts)[turn]
        owner = np.empty_like(place)
        for size in np.unique(giving):
            rows = np.flatnonzero(giving == size)
            owner[rows] = permute(place[rows].astype(np.uint64), int(size), seed, f"{stream}/{size}")
        owner = self._by_width[owner]
        return owner, (self._offsets[owner] + turn) % self._widths[owner]
