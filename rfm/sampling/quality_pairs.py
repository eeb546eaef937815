"""Pairs of episodes of one task of which one did better.

Where every episode of a group has a partial success (a successful one counts as 1), scores are those and must differ by
`data.partial_success_threshold`; elsewhere the quality label alone decides, and episodes of unknown quality are left
out. A group is the task within one source; a trajectory without a partner there is paired across sources.

Members are sorted by (group, score), so the worse partners of a trajectory are one run of them and the better another:
a partner is one binary search away, and who has none is known beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.sampling.progress import SUCCESSFUL
from rfm.sampling.random import RowRandom
from rfm.trajectories.catalog import Catalog

_BY_QUALITY = 0.5 - 1e-6  # failure, suboptimal, successful score 0, 1/2, 1


class QualityPairs:
    """Draws (better, worse) trajectory numbers."""

    def __init__(self, catalog: Catalog, eligible: Bool[np.ndarray, " n"], threshold: float):
        task = catalog.task_code.astype(np.int64)
        within = task * (int(catalog.source_code.max(initial=0)) + 1) + catalog.source_code
        self._levels = [_Level.build(catalog, eligible, group, threshold - 1e-6) for group in (within, task)]
        near, far = (level.partners() for level in self._levels)
        self._level = np.where(near > 0, 0, np.where(far > 0, 1, -1))
        self.anchors = np.flatnonzero(self._level >= 0)

    def draw(self, random: RowRandom) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """Return (better, worse): an anchor drawn uniformly and one of its partners."""
        anchor = self.anchors[random.below("quality/anchor", len(self.anchors))]
        partner, better = np.empty_like(anchor), np.empty(len(anchor), bool)
        ticket = random.uniform("quality/partner")
        for number, level in enumerate(self._levels):
            rows = np.flatnonzero(self._level[anchor] == number)
            partner[rows], better[rows] = level.partner(anchor[rows], ticket[rows])
        return np.where(better, anchor, partner), np.where(better, partner, anchor)


@dataclass(frozen=True)
class _Level:
    """One way of grouping: members in (group, score) order, and each trajectory's key in that order."""

    members: Int64[np.ndarray, " k"]
    sorted_keys: Float64[np.ndarray, " k"]
    group: Int64[np.ndarray, " n"]
    score: Float64[np.ndarray, " n"]
    gap: Float64[np.ndarray, " n"]

    @staticmethod
    def build(catalog: Catalog, eligible: np.ndarray, group: np.ndarray, threshold: float) -> _Level:
        partial = np.where(catalog.quality == SUCCESSFUL, 1.0, catalog.partial_success.astype(np.float64))
        complete = np.ones(int(group.max(initial=0)) + 1, bool)
        complete[group[eligible & np.isnan(partial)]] = False
        by_partial = complete[group]
        score = np.where(by_partial, partial, catalog.quality / 2)
        members = np.flatnonzero(eligible & (by_partial | (catalog.quality >= 0)))
        order = members[np.lexsort((members, score[members], group[members]))]
        gap = np.where(by_partial, threshold, _BY_QUALITY)
        return _Level(order, _key(group[order], score[order]), group, score, gap)

    def partners(self) -> Int64[np.ndarray, " n"]:
        """Return the number of partners of every trajectory; 0 for those that are no members."""
        low, worse, better, high = self._runs(np.arange(len(self.group)))
        count = (worse - low) + (high - better)
        out = np.zeros(len(self.group), np.int64)
        out[self.members] = count[self.members]
        return out

    def partner(self, anchor: np.ndarray, ticket: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a partner of each anchor and whether the anchor is the better of the two."""
        low, worse, better, high = self._runs(anchor)
        count = (worse - low) + (high - better)
        chosen = np.minimum((ticket * count).astype(np.int64), count - 1)
        is_better = chosen < worse - low
        place = np.where(is_better, low + chosen, better + chosen - (worse - low))
        return self.members[place], is_better

    def _runs(self, anchor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the ends of the run of worse partners and of the run of better ones."""
        group, score, gap = self.group[anchor], np.nan_to_num(self.score[anchor]), self.gap[anchor]
        low = np.searchsorted(self.sorted_keys, _key(group, np.full(len(group), -1.0)), "left")
        high = np.searchsorted(self.sorted_keys, _key(group, np.full(len(group), 2.0)), "right")
        worse = np.searchsorted(self.sorted_keys, _key(group, score - gap), "right")
        better = np.searchsorted(self.sorted_keys, _key(group, score + gap), "left")
        return low, np.maximum(worse, low), np.minimum(better, high), high


def _key(group: np.ndarray, score: np.ndarray) -> Float64[np.ndarray, " m"]:
    return np.asarray(group * 8.0 + score)
