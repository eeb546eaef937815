"""How many different questions there are to draw: a few episodes support a few hundred, and more rows repeat them.

Rows at random positions are drawn before any is written, and hashed by what they ask and show. From how many of them
are equal follows how many exist: n draws of M equally likely questions hold M (1 - exp(-n / M)) different ones. Draws
are not quite equally likely, so it is "about". Costs PILOT rows of drawing: a tenth of a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt64

from rfm.sampling.block import Block, Drawer, Slot
from rfm.sampling.quotas import Strategy
from rfm.sampling.random import mix

PILOT = 20_000
"""Rows drawn to judge by, at most."""
ACCEPTED = 0.05
"""The share of rows that may repeat others without a word."""
_PLACE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Supply:
    """The questions of one strategy: its share of the rows, and how many different ones exist."""

    strategy: Strategy
    share: float
    existing: float
    """Infinite where no two of the drawn ones were equal."""
    least: float
    """How many there are at least: with fewer, `drawn` ones without a repeat would come up once in twenty times."""

    def different(self, rows: float) -> float:
        """Return how many different ones `rows` rows of the dataset hold."""
        drawn = rows * self.share
        return drawn if math.isinf(self.existing) else -self.existing * math.expm1(-drawn / self.existing)


def supplies(drawer: Drawer) -> tuple[list[Supply], int]:
    """Return what each strategy that has rows can offer, and how many episodes the drawn questions are about."""
    block = drawer.draw(0, min(PILOT, drawer.quotas.total))
    hashes = question_hashes(block)
    episodes = np.unique(np.concatenate([slot.trajectory for slot in block.slots]))
    found = []
    for number, strategy in enumerate(drawer.quotas.strategies):
        of_strategy = hashes[block.strategy == number]
        if len(of_strategy):
            share = drawer.quotas.counts[number] / drawer.quotas.total
            drawn, different = len(of_strategy), len(np.unique(of_strategy))
            existing = _existing(drawn, different)
            least = drawn * (drawn - 1) / (2 * math.log(20)) if math.isinf(existing) else existing
            found.append(Supply(strategy, share, existing, least))
    return found, int((episodes >= 0).sum())


def repeated_share(found: Sequence[Supply], rows: int) -> float:
    """Return the share of `rows` rows that repeat another one."""
    return 1 - sum(one.different(rows) for one in found) / rows


def worthwhile(found: Sequence[Supply], rows: int) -> int:
    """Return how many rows, at most `rows`, repeat no more than ACCEPTED of them; two digits that count."""
    low, high = 1, rows
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if repeated_share(found, middle) <= ACCEPTED else (low, middle - 1)
    unit = 10 ** max(len(str(low)) - 2, 0)
    return max(low // unit * unit, 1)


def question_hashes(block: Block) -> UInt64[np.ndarray, " m"]:
    """Return 64 bits a row for what it asks and which frames it shows, in their order."""
    out = mix(block.strategy.astype(np.uint64) * _PLACE + block.text.astype(np.uint64))
    for slot in block.slots:
        out = mix(out + _shown(slot))
    return out


def _shown(slot: Slot) -> UInt64[np.ndarray, " m"]:
    place = np.arange(slot.indices.shape[1], dtype=np.uint64) * _PLACE
    shown: Bool[np.ndarray, "m K"] = np.arange(slot.indices.shape[1]) < slot.count[:, None]
    words = mix(slot.indices.astype(np.uint64) + place)
    return mix(slot.trajectory.astype(np.uint64)) + np.where(shown, words, np.uint64(0)).sum(axis=1, dtype=np.uint64)


def _existing(drawn: int, different: int) -> float:
    """Solve `different` = M (1 - exp(-drawn / M)) for M by bisection; `drawn` must be at least 1."""
    if different == drawn:
        return math.inf
    low, high = float(different), float(drawn) ** 2
    for _ in range(60):
        middle = math.sqrt(low * high)
        if -middle * math.expm1(-drawn / middle) < different:
            low = middle
        else:
            high = middle
    return low
