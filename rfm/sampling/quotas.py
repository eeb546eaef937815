"""Exact shares: which strategy each of n rows has.

Rows are dealt to (sample type, strategy) in whole numbers by the largest remainder, laid out in order, and shuffled by
a bijection of the row positions. A row's rank within its strategy then serves to balance answers exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt64

from rfm.sampling.random import permute

Strategy = tuple[str, str]
"""(sample type, name), e.g. ("preference", "rewind")."""


def largest_remainder(total: int, shares: Mapping[Strategy, float]) -> dict[Strategy, int]:
    """Split `total` into whole numbers in proportion to `shares`; each is within one of its exact share."""
    exact = {name: total * share / sum(shares.values()) for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


@dataclass(frozen=True)
class Quotas:
    """The strategies of a dataset of `total` rows with the number of rows of each, in order."""

    strategies: tuple[Strategy, ...]
    counts: tuple[int, ...]
    seed: int

    @property
    def total(self) -> int:
        """The number of rows."""
        return sum(self.counts)

    @property
    def starts(self) -> Int64[np.ndarray, " s"]:
        """Where each strategy begins in the order that is shuffled; those of one sample type lie together."""
        return np.cumsum((0, *self.counts[:-1])).astype(np.int64)

    def assign(self, positions: UInt64[np.ndarray, " m"]) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """Return each row's index into `strategies` and its rank within that strategy."""
        place = permute(positions, self.total, self.seed, "quotas")
        strategy = np.searchsorted(self.starts, place, side="right") - 1
        return strategy.astype(np.int64), place - self.starts[strategy]
