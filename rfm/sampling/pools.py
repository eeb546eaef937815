"""Pools: the trajectories that can serve a strategy, and drawing from them by source and task.

Weights are whole numbers so that cumulative sums are exact: a draw can never fall into the task it must avoid. Each
draw is a binary search, so a block of m rows costs O(m log n) whatever the size of the catalog.

A video that its preference group shows under task T as well (the counterfactual instructions of RoboReward) has a score
of its own for T, so it is no video of another task there: such (task, trajectory) pairs are barred, and stepped over
like T's own trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int, Int64

from rfm.errors import DataError
from rfm.sampling.random import RowRandom
from rfm.trajectories.catalog import Catalog

MOST_BARRED = 100_000_000


@dataclass(frozen=True)
class Barred:
    """Pairs of a task and a trajectory of another one that must not be set against each other, each pair once."""

    task: Int64[np.ndarray, " b"]
    trajectory: Int64[np.ndarray, " b"]

    def hold(self, task: Int[np.ndarray, " m"], trajectory: Int64[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        """Return which pairs of a task and a trajectory are barred."""
        if not len(self._sorted):
            return np.zeros(len(task), bool)
        key = task * self._trajectories + np.minimum(trajectory, self._trajectories)
        found = self._sorted[np.minimum(np.searchsorted(self._sorted, key), len(self._sorted) - 1)]
        return (found == key) & (trajectory < self._trajectories)

    @cached_property
    def _trajectories(self) -> int:
        return int(self.trajectory.max(initial=0)) + 1

    @cached_property
    def _sorted(self) -> Int64[np.ndarray, " b"]:
        return np.sort(self.task * self._trajectories + self.trajectory)


def barred(task: Int[np.ndarray, " n"], group: Int[np.ndarray, " n"]) -> Barred:
    """Return each task of a preference group with each trajectory of the group that has another task.

    Raises:
        DataError: groups are so large that there are more than `MOST_BARRED` pairs.

    """
    grouped = np.flatnonzero(group >= 0)
    order = grouped[np.argsort(group[grouped], kind="stable")]
    span = int(task.max(initial=0)) + 1
    held = np.unique(group[order].astype(np.int64) * span + task[order])  # (group, task), by group
    first, past = (np.searchsorted(held // span, group[order], side) for side in ("left", "right"))
    tasks = past - first
    if tasks.sum() > MOST_BARRED:
        raise DataError(
            f"`preference_group_id` must name small groups, but these pair {tasks.sum():,} instructions and videos, "
            f"more than {MOST_BARRED:,}: the largest holds {int(tasks.max())} tasks"
        )
    trajectory = np.repeat(order, tasks)
    told = held[np.arange(tasks.sum()) - np.repeat(np.cumsum(tasks) - tasks, tasks) + np.repeat(first, tasks)] % span
    other = told != task[trajectory]
    return Barred(told[other], trajectory[other])


_Intervals = tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]
"""Owners, starts and widths."""


class Steps:
    """Intervals on the number lines of g owners that whole numbers step over."""

    def __init__(
        self,
        owners: int,
        owner: Int64[np.ndarray, " k"],
        start: Int64[np.ndarray, " k"],
        width: Int64[np.ndarray, " k"],
    ):
        """Take disjoint intervals [start, start + width), in any order."""
        order = np.lexsort((start, owner))
        owner, start, width = owner[order], start[order], width[order]
        self._summed = _summed(width)
        self._begin = np.searchsorted(owner, np.arange(owners + 1))
        before = self._summed[:-1] - self._summed[self._begin[owner]]
        self._range = int((start + width).max(initial=0)) + 1
        self._key = owner * self._range + start - before  # where each interval lies when those before it are taken out
        self.width: Int64[np.ndarray, " g"] = np.diff(self._summed[self._begin])
        """All that is stepped over, by owner."""

    def over(self, owner: Int64[np.ndarray, " m"], number: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the `number`-th whole number of each owner's line that lies in none of its intervals."""
        passed = np.searchsorted(self._key, owner * self._range + np.minimum(number, self._range - 1), side="right")
        return number + self._summed[passed] - self._summed[self._begin[owner]]


@dataclass(frozen=True)
class Groups:
    """All n trajectories in g groups, which lie in wider ones; groups are numbered in the order of both codes."""

    of: Int64[np.ndarray, " n"]
    """The group of each trajectory."""
    order: Int64[np.ndarray, " n"]
    """The trajectories, group by group."""
    key: Int64[np.ndarray, " g"]
    """Both codes of each group in one number, rising."""
    inner: int
    """How many inner codes there are."""
    first: Int64[np.ndarray, " g"]
    """The first group of the wider one that each group lies in."""
    last: Int64[np.ndarray, " g"]

    @staticmethod
    def build(outer: Int[np.ndarray, " n"], inner: Int[np.ndarray, " n"]) -> Groups:
        """Return the groups of equal (outer, inner), within the wider ones of equal `outer`."""
        codes = int(inner.max(initial=0)) + 1
        key = outer.astype(np.int64) * codes + inner
        order = np.argsort(key, kind="stable")
        begins = np.diff(key[order], prepend=-1) != 0
        of = np.empty(len(key), np.int64)
        of[order] = np.cumsum(begins) - 1
        wider = outer[order[begins]]
        first, past = (np.searchsorted(wider, wider, side) for side in ("left", "right"))
        return Groups(of, order, key[order[begins]], codes, first.astype(np.int64), past.astype(np.int64) - 1)

    def beside(self, pairs: Barred) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
        """Return for barred pairs the group of the task within the trajectory's wider group, and the trajectory.

        Pairs whose task has no group there are left out: nobody draws for it.
        """
        key = self.key[self.of[pairs.trajectory]] // self.inner * self.inner + pairs.task
        group = np.searchsorted(self.key, key)
        there = self.key[np.minimum(group, len(self) - 1)] == key if len(self) else np.zeros(len(key), bool)
        return group[there], pairs.trajectory[there]

    def __len__(self) -> int:
        return len(self.first)


class Pool:
    """Some trajectories with whole-number weights, drawn in proportion to them; groups are their tasks."""

    def __init__(
        self,
        by_source: Groups,
        by_task: Groups,
        members: Bool[np.ndarray, " n"],
        weights: Int64[np.ndarray, " n"] | None = None,
        pairs: Barred | None = None,
    ):
        self._within_source = Order(by_source, members, weights, pairs)
        self._anywhere = Order(by_task, members, weights, pairs)

    def __len__(self) -> int:
        return len(self._anywhere.members)

    @property
    def members(self) -> Int64[np.ndarray, " k"]:
        """The trajectory numbers in the pool."""
        return self._anywhere.members

    def draw(self, random: RowRandom, stream: str) -> Int64[np.ndarray, " m"]:
        """Draw a trajectory a row: the one that a question is about."""
        return self._anywhere.draw(random, stream)

    def draw_other_task(
        self, random: RowRandom, stream: str, unlike: Int64[np.ndarray, " m"], same_source: Bool[np.ndarray, " m"]
    ) -> Int64[np.ndarray, " m"]:
        """Draw a trajectory of another task than `unlike`'s, and not barred from it.

        It comes from `unlike`'s source where `same_source` and there is one.
        """
        near_room = self._within_source.outside(unlike)
        near = same_source & (near_room > 0)
        ticket = random.below(stream, np.where(near, near_room, self._anywhere.outside(unlike)))
        out = np.empty_like(unlike)
        for order, rows in ((self._within_source, near), (self._anywhere, ~near)):
            out[rows] = order.at_outside(ticket[rows], unlike[rows])
        return out

    def has_other_task(self) -> Bool[np.ndarray, " n"]:
        """Return for every trajectory whether the pool has one that `draw_other_task` can draw for it."""
        return self._anywhere.outside(slice(None)) > 0


class Lot:
    """Members with whole-number weights; a ticket is a number in [0, total), and each owns an interval of them."""

    def __init__(self, members: Int64[np.ndarray, " k"], weights: Int64[np.ndarray, " n"] | None):
        """Take members in the order of their intervals, and the weights of all trajectories (None: 1 each)."""
        self.members = members
        self._cumulative = None if weights is None else _summed(weights[members])

    def __len__(self) -> int:
        return len(self.members)

    def draw(self, random: RowRandom, stream: str) -> Int64[np.ndarray, " m"]:
        """Draw a trajectory a row."""
        return self.at(random.ticket(stream, self.total))

    def tickets(self, place: Int64[np.ndarray, " g"]) -> Int64[np.ndarray, " g"]:
        """Return the first ticket of the member at each place."""
        return place if self._cumulative is None else self._cumulative[place]

    @property
    def total(self) -> int:
        """The weight of all members."""
        return len(self.members) if self._cumulative is None else int(self._cumulative[-1])

    def at(self, ticket: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the member whose weight interval holds each ticket in [0, total)."""
        if not len(self.members):
            return ticket * 0
        place = ticket if self._cumulative is None else np.searchsorted(self._cumulative, ticket, side="right") - 1
        return self.members[np.clip(place, 0, len(self.members) - 1)]


class Order(Lot):
    """Members group by group with exact cumulative weights; all n trajectories know their group.

    8 to 16 bytes a member and 32 a group.
    """

    def __init__(
        self,
        groups: Groups,
        members: Bool[np.ndarray, " n"],
        weights: Int64[np.ndarray, " n"] | None,
        pairs: Barred | None = None,
    ):
        super().__init__(groups.order[members[groups.order]], weights)
        self._group = groups.of
        held = np.bincount(groups.of[self.members], minlength=len(groups))
        past = np.cumsum(held).astype(np.int64)
        low, high = self.tickets(past - held), self.tickets(past)
        self._outer_low = low[groups.first]
        intervals: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [
            (np.arange(len(groups)), low - self._outer_low, high - low)
        ]
        if pairs is not None and len(pairs.task):
            intervals.append(self._barred(groups, members, pairs))
        self._steps = Steps(len(groups), *(np.concatenate(part) for part in zip(*intervals, strict=True)))
        self._outside = high[groups.last] - self._outer_low - self._steps.width

    def _barred(
        self, groups: Groups, members: Bool[np.ndarray, " n"], pairs: Barred
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the intervals of barred members, each with the group that steps over it."""
        group, trajectory = groups.beside(pairs)
        group, trajectory = group[members[trajectory]], trajectory[members[trajectory]]
        place = np.empty(len(members), np.int64)
        place[self.members] = np.arange(len(self.members))
        start, past = self.tickets(place[trajectory]), self.tickets(place[trajectory] + 1)
        return group, start - self._outer_low[group], past - start

    def outside(self, of: Int64[np.ndarray, " m"] | slice) -> Int64[np.ndarray, " m"]:
        """Return the weight within each trajectory's wider group that is neither in its own nor barred from it."""
        return self._outside[self._group[of]]

    def at_outside(self, ticket: Int64[np.ndarray, " m"], of: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return members for tickets in [0, outside) of each trajectory: what is not outside is stepped over."""
        group = self._group[of]
        return self.at(self._outer_low[group] + self._steps.over(group, ticket))


def _summed(weights: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k+1"]:
    return np.concatenate([[0], np.cumsum(weights)]).astype(np.int64)


class Usable:
    """The trajectories of a catalog that are long enough to ask about, and what the others still say of them.

    An episode of a preference group that is too short to show keeps its instruction: the group has a score for it, so
    no other video of the group may be shown with it as a wrong one. So barred pairs are found in the whole catalog and
    then carried over to the trajectories that are left.
    """

    def __init__(self, whole: Catalog, least_frames: int):
        self._whole = whole
        self._keep = whole.num_frames >= least_frames
        self.catalog = whole if self._keep.all() else whole.select(self._keep)
        self.left_out = int((~self._keep).sum())
        """How many trajectories are shorter."""

    @cached_property
    def barred(self) -> Barred:
        """Videos of `catalog` that have a score of their own for another task's instruction."""
        pairs = barred(self._whole.task_code, self._whole.preference_group)
        if not self.left_out:
            return pairs
        code = np.full(len(self._whole.tasks), -1, np.int64)
        code[self._whole.task_code[self._keep]] = self.catalog.task_code
        place = np.cumsum(self._keep) - 1
        left = self._keep[pairs.trajectory] & (code[pairs.task] >= 0)
        return Barred(code[pairs.task[left]], place[pairs.trajectory[left]])
