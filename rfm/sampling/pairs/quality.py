"""Pairs of episodes of one task of which one did better.

Where every episode of a group has a partial success (a successful one counts as 1), scores are those and must differ by
`data.partial_success_threshold`; elsewhere the quality label alone decides, and episodes of unknown quality are left
out. A group is the task within one source and one frame size, as resolution tells quality where sources are alike; a
trajectory without a partner there is paired across sources, never across sizes. Of rows about one frames file one
stands for all.

Members are sorted by (group, score), so the worse partners of a trajectory are one run of them and the better another:
a partner is one binary search away, and who has none is known beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.sampling.pairs.videos import one_a_video
from rfm.sampling.progress import SUCCESSFUL
from rfm.sampling.random import RowRandom
from rfm.sampling.turns import Turns
from rfm.trajectories.catalog import Catalog

_BY_QUALITY = 0.5 - 1e-6  # failure, suboptimal, successful score 0, 1/2, 1


class QualityPairs:
    """Draws (better, worse) trajectory numbers."""

    def __init__(
        self,
        catalog: Catalog,
        eligible: Bool[np.ndarray, " n"],
        threshold: float,
    ):
        self._levels, self.unequal = _levels(catalog, eligible, threshold)
        near, far = (level.partners for level in self._levels)
        self._level = np.where(near > 0, 0, np.where(far > 0, 1, -1))
        self.supported: Bool[np.ndarray, " n"] = self._level >= 0
        """The trajectories that have a partner."""

    def draw(
        self, random: RowRandom, anchor: Int64[np.ndarray, " m"]
    ) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """Return (better, worse): each anchor and one of its partners."""
        partner, better = np.empty_like(anchor), np.empty(len(anchor), bool)
        ticket = random.uniform("quality/partner")
        for number, level in enumerate(self._levels):
            rows = np.flatnonzero(self._level[anchor] == number)
            partner[rows], better[rows] = level.partner(anchor[rows], ticket[rows])
        return np.where(better, anchor, partner), np.where(better, partner, anchor)


@dataclass(frozen=True)
class _Level:
    """One way of grouping: members in (group, score) order, and where the partners of each trajectory lie in it."""

    members: Int64[np.ndarray, " k"]
    low: Int64[np.ndarray, " n"]
    worse: Int64[np.ndarray, " n"]
    """End of the run of worse partners, which starts at `low`."""
    better: Int64[np.ndarray, " n"]
    """Start of the run of better partners."""
    partners: Int64[np.ndarray, " n"]
    """How many there are; 0 for trajectories that are no members."""

    @property
    def worse_partners(self) -> Int64[np.ndarray, " n"]:
        """How many worse partners each trajectory has; 0 for those that are no members."""
        return np.where(self.partners > 0, self.worse - self.low, 0)

    @staticmethod
    def build(catalog: Catalog, eligible: np.ndarray, group: np.ndarray, threshold: float) -> _Level:
        partial = np.where(catalog.quality == SUCCESSFUL, 1.0, catalog.partial_success.astype(np.float64))
        complete = np.ones(int(group.max(initial=0)) + 1, bool)
        complete[group[eligible & np.isnan(partial)]] = False
        by_partial = complete[group]
        score = np.where(by_partial, partial, catalog.quality / 2)
        members = np.flatnonzero(eligible & (by_partial | (catalog.quality >= 0)))
        order = members[np.lexsort((members, score[members], group[members]))]
        of, known = group[order], score[order]
        keys, gap = _key(of, known), np.where(by_partial, threshold, _BY_QUALITY)[order]
        low, high = np.searchsorted(of, of, "left"), np.searchsorted(of, of, "right")
        worse = np.maximum(np.searchsorted(keys, _key(of, known - gap), "right"), low)
        better = np.minimum(np.searchsorted(keys, _key(of, known + gap), "left"), high)
        columns = np.zeros((4, len(group)), np.int64)
        columns[:, order] = low, worse, better, (worse - low) + (high - better)
        return _Level(order, *columns)

    def partner(self, anchor: np.ndarray, ticket: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a partner of each anchor and whether the anchor is the better of the two."""
        low, worse, better, count = self.low[anchor], self.worse[anchor], self.better[anchor], self.partners[anchor]
        chosen = np.minimum((ticket * count).astype(np.int64), count - 1)
        is_better = chosen < worse - low
        place = np.where(is_better, low + chosen, better + chosen - (worse - low))
        return self.members[place], is_better


def _levels(catalog: Catalog, eligible: np.ndarray, threshold: float) -> tuple[tuple[_Level, _Level], int]:
    """Return pairs within a source and across sources, and how many trajectories have partners of other sizes alone."""
    task, size = (code.astype(np.int64) for code in (catalog.task_code, catalog.size_code))
    sized = task * (int(size.max(initial=0)) + 1) + size
    within = sized * (int(catalog.source_code.max(initial=0)) + 1) + catalog.source_code
    shown = one_a_video(catalog, eligible)
    near, far, any_size = (_Level.build(catalog, shown, group, threshold - 1e-6) for group in (within, sized, task))
    return (near, far), int(((any_size.partners > 0) & (near.partners + far.partners == 0)).sum())


def _key(group: np.ndarray, score: np.ndarray | float) -> Float64[np.ndarray, " m"]:
    return np.asarray(group * 8.0 + score)


class EveryQualityPair:
    """All (better, worse) pairs of a size, numbered task by task; within one source where a task has any, else across.

    Nothing is enumerated: a pair's number leads to its better episode by a binary search.
    """

    def __init__(self, catalog: Catalog, eligible: Bool[np.ndarray, " n"], threshold: float):
        task = catalog.task_code.astype(np.int64)
        (near, far), self.unequal = _levels(catalog, eligible, threshold)
        has_near = np.zeros(int(task.max(initial=0)) + 1, bool)
        has_near[task[near.worse_partners > 0]] = True
        self._near, self._far, self._is_near = near, far, has_near[task]
        worse = np.where(self._is_near, near.worse_partners, far.worse_partners)
        anchors = np.flatnonzero(worse)
        self._anchors = anchors[np.argsort(task[anchors], kind="stable")]
        self._first = np.concatenate([[0], np.cumsum(worse[self._anchors])]).astype(np.int64)
        tasks, begins = np.unique(task[self._anchors], return_index=True)
        self.tasks: Int64[np.ndarray, " t"] = tasks
        """Codes of the tasks that have pairs."""
        self.starts: Int64[np.ndarray, " t+1"] = self._first[np.append(begins, len(self._anchors))]
        """The number of each task's first pair; the last entry is how many pairs there are."""

    @property
    def turns(self) -> Turns:
        """The pairs by their better episode, of which each has its pairs in turn; episodes of a task begin apart."""
        tasks = np.searchsorted(self.starts, self._first[:-1], side="right") - 1
        begins = np.searchsorted(self._first, self.starts[:-1])
        return Turns(np.diff(self._first), np.arange(len(tasks)) - begins[tasks])

    def of(self, owner: Int64[np.ndarray, " m"], which: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the numbers of pairs as `turns` has them."""
        return self._first[owner] + which

    def __getitem__(self, number: Int64[np.ndarray, " m"]) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """Return (better, worse) of the pairs with these numbers."""
        place = np.searchsorted(self._first, number, side="right") - 1
        better, step = self._anchors[place], number - self._first[place]
        near = self._is_near[better]
        worse = np.empty_like(better)
        for level, rows in ((self._near, near), (self._far, ~near)):
            worse[rows] = level.members[level.low[better[rows]] + step[rows]]
        return better, worse


def unequal_sizes(trajectories: int) -> str:
    """Return what is said of trajectories that are not paired for their size."""
    return f"{trajectories} trajectories have partners of another frame size only, which would tell the answer"
