"""Pairs of episodes of one task of which one did better (`levels`).

A group is the task within one source and one frame size, as resolution tells quality where sources are alike; a
trajectory without a partner there is paired across sources, never across sizes. Of rows about one frames file one
stands for all.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from rfm.sampling.evidence import described
from rfm.sampling.pairs.levels import Level
from rfm.sampling.pairs.videos import one_a_video
from rfm.sampling.random import RowRandom
from rfm.sampling.turns import Turns
from rfm.trajectories.catalog import Catalog


class QualityPairs:
    """Draws (better, worse) trajectory numbers."""

    def __init__(
        self,
        catalog: Catalog,
        eligible: Bool[np.ndarray, " n"],
        threshold: float,
    ):
        self._levels, self.unequal = _levels(catalog, eligible, threshold)
        self.notes = _notes(catalog, self._levels, self.unequal)
        """What is no pair, and why."""
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


def _levels(catalog: Catalog, eligible: np.ndarray, threshold: float) -> tuple[tuple[Level, Level], int]:
    """Return pairs within a source and across sources, and how many trajectories have partners of other sizes alone."""
    task, size = (code.astype(np.int64) for code in (catalog.task_code, catalog.size_code))
    sized = task * (int(size.max(initial=0)) + 1) + size
    within = sized * (int(catalog.source_code.max(initial=0)) + 1) + catalog.source_code
    shown = one_a_video(catalog, eligible)
    near, far, any_size = (Level.build(catalog, shown, group, threshold - 1e-6) for group in (within, sized, task))
    return (near, far), int(((any_size.partners > 0) & (near.partners + far.partners == 0)).sum())


def _notes(catalog: Catalog, levels: tuple[Level, Level], unequal: int) -> list[str]:
    """Return what is said of trajectories and pairs that are left out; both levels hold the pairs of one source."""
    notes, (_, far) = [unequal_sizes(unequal)] if unequal else [], levels
    divided = int(far.contrary.sum(dtype=np.int64))
    if divided:
        one, other = (described(catalog, row) for row in far.first_contrary())
        notes.append(
            f"{divided:,} pairs of episodes whose labels say the opposite of `partial_success`, the first: {one} and "
            f"{other}"
        )
    return notes


class EveryQualityPair:
    """All (better, worse) pairs of a size, numbered task by task; within one source where a task has any, else across.

    Nothing is enumerated: a pair's number leads to its better episode by a binary search.
    """

    def __init__(self, catalog: Catalog, eligible: Bool[np.ndarray, " n"], threshold: float):
        task = catalog.task_code.astype(np.int64)
        levels, self.unequal = _levels(catalog, eligible, threshold)
        self.notes = _notes(catalog, levels, self.unequal)
        """What is no pair, and why."""
        near, far = levels
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
            worse[rows] = level.nth_worse(better[rows], step[rows])
        return better, worse


def unequal_sizes(trajectories: int) -> str:
    """Return what is said of trajectories that are not paired for their size."""
    return f"{trajectories} trajectories have partners of another frame size only, which would tell the answer"
