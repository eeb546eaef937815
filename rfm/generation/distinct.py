"""How many different questions there are to draw: a few episodes support a few hundred, and more rows repeat them.

Rows at random positions are drawn before any is written, and hashed by what they ask and show. From how many of them
are equal follows how many exist: n draws of M equally likely questions hold M (1 - exp(-n / M)) different ones. Draws
are not quite equally likely, so it is "about"; sources are judged apart, since a small one among large ones has its few
questions drawn far more often. A dataset of PILOT rows or fewer is counted instead. Costs PILOT rows of drawing: a
tenth of a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, UInt64

from rfm.sampling.block import FIRST, Block, Drawer, Slot
from rfm.sampling.quotas import Strategy
from rfm.sampling.random import mix
from rfm.vqa.schema import INSTRUCTION_KINDS

PILOT = 20_000
"""Rows drawn to judge by, at most."""
ACCEPTED = 0.05
"""The share of rows that may repeat others without a word."""
JUDGED_APART = 200
"""Rows of a strategy and source below which too few repeat to say how many questions they have."""
SEVERAL = -1
_PLACE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Supply:
    """The questions of one strategy about one source: its share of the rows, and how many different ones exist."""

    strategy: Strategy
    source: int
    """Code of the source; SEVERAL for those that had too few of the drawn rows to be judged apart."""
    share: float
    existing: float
    """Infinite where no two of the drawn ones were equal."""
    least: float
    """How many there are at least: with fewer, `drawn` ones without a repeat would come up once in twenty times."""

    def different(self, rows: float) -> float:
        """Return how many different ones `rows` rows of the dataset hold."""
        drawn = rows * self.share
        return drawn if math.isinf(self.existing) else -self.existing * math.expm1(-drawn / self.existing)


@dataclass(frozen=True)
class Supplies:
    """What a dataset of `rows` rows is drawn from."""

    rows: int
    found: tuple[Supply, ...]
    counted: Mapping[tuple[Strategy, int], int] | None
    """The different questions of each strategy and source where all rows were drawn; None: estimated."""
    episodes: int
    """How many episodes the drawn rows are about."""
    instructions: Mapping[str, float]
    """The shares of the drawn rows by `INSTRUCTION_KINDS`."""

    def of(self, strategy: Strategy | None = None, source: int | None = None) -> Supplies:
        """Return those of one strategy, or of one source, alone."""
        kept = [one for one in self.found if strategy in (None, one.strategy) and source in (None, one.source)]
        return replace(self, found=tuple(kept))

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """The strategies in their order."""
        return tuple(dict.fromkeys(one.strategy for one in self.found))

    @property
    def share(self) -> float:
        """The share of the dataset's rows that are drawn from these."""
        return sum(one.share for one in self.found)

    @property
    def repeated(self) -> float:
        """The share of their rows that repeat another one of the dataset."""
        if self.counted is not None:
            different: float = sum(self.counted[one.strategy, one.source] for one in self.found)
        else:
            different = sum(one.different(self.rows) for one in self.found)
        return max(0.0, 1 - different / (self.rows * self.share)) if self.found else 0.0

    @property
    def existing(self) -> tuple[float, bool]:
        """About how many different questions exist, to two digits that count, and whether that is a bound alone."""
        unbounded = any(math.isinf(one.existing) for one in self.found)
        return float(f"{sum(one.least for one in self.found):.2g}"), unbounded

    def worthwhile(self) -> int:
        """Return how many rows, at most `rows`, repeat no more than ACCEPTED of them; two digits that count."""
        low, high = 1, self.rows
        while low < high:
            middle = (low + high + 1) // 2
            repeated = 1 - sum(one.different(middle) for one in self.found) / middle
            low, high = (middle, high) if repeated <= ACCEPTED else (low, middle - 1)
        unit = 10 ** max(len(str(low)) - 2, 0)
        return max(low // unit * unit, 1)


def supplies(drawer: Drawer) -> Supplies:
    """Return what each strategy that has rows can offer, source by source."""
    rows = drawer.quotas.total
    block = drawer.draw(0, min(PILOT, rows))
    hashes = question_hashes(block)
    source = drawer.catalog.source_code[block.slots[FIRST].trajectory].astype(np.int64)
    found, counted = [], {}
    for number, strategy in enumerate(drawer.quotas.strategies):
        of_strategy = np.flatnonzero(block.strategy == number)
        held = np.bincount(source[of_strategy], minlength=len(drawer.catalog.sources))
        part = np.where(held >= JUDGED_APART, np.arange(len(held)), SEVERAL)[source[of_strategy]]
        for code in np.unique(part).tolist():
            of_part = hashes[of_strategy[part == code]]
            share = drawer.quotas.counts[number] / rows * len(of_part) / len(of_strategy)
            drawn, different = len(of_part), len(np.unique(of_part))
            existing = _existing(drawn, different)
            least = drawn * (drawn - 1) / (2 * math.log(20)) if math.isinf(existing) else existing
            found.append(Supply(strategy, code, share, existing, least))
            counted[strategy, code] = different
    episodes = np.unique(np.concatenate([slot.trajectory for slot in block.slots]))
    kinds = np.bincount(block.instruction, minlength=len(INSTRUCTION_KINDS)) / len(block.instruction)
    instructions = dict(zip(INSTRUCTION_KINDS, kinds.tolist(), strict=True))
    counted_all = counted if rows <= PILOT else None
    return Supplies(rows, tuple(found), counted_all, int((episodes >= 0).sum()), instructions)


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
