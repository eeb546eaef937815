"""Pools: the trajectories that can serve a strategy, and drawing from them by source and task.

Weights are whole numbers so that cumulative sums are exact: a draw can never fall into the task it must avoid. Each
draw is a binary search, so a block of m rows costs O(m log n) whatever the size of the catalog.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64

from rfm.sampling.random import RowRandom


@dataclass(frozen=True)
class Groups:
    """All n trajectories in g groups, which lie in wider ones; groups are numbered in the order of both codes."""

    of: Int64[np.ndarray, " n"]
    """The group of each trajectory."""
    order: Int64[np.ndarray, " n"]
    """The trajectories, group by group."""
    first: Int64[np.ndarray, " g"]
    """The first group of the wider one that each group lies in."""
    last: Int64[np.ndarray, " g"]

    @staticmethod
    def build(outer: Int[np.ndarray, " n"], inner: Int[np.ndarray, " n"]) -> Groups:
        """Return the groups of equal (outer, inner), within the wider ones of equal `outer`."""
        key = outer.astype(np.int64) * (int(inner.max(initial=0)) + 1) + inner
        order = np.argsort(key, kind="stable")
        begins = np.diff(key[order], prepend=-1) != 0
        of = np.empty(len(key), np.int64)
        of[order] = np.cumsum(begins) - 1
        wider = outer[order[begins]]
        first, past = (np.searchsorted(wider, wider, side) for side in ("left", "right"))
        return Groups(of, order, first.astype(np.int64), past.astype(np.int64) - 1)

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
    ):
        self._within_source = Order(by_source, members, weights)
        self._anywhere = Order(by_task, members, weights)

    def __len__(self) -> int:
        return len(self._anywhere.members)

    @property
    def members(self) -> Int64[np.ndarray, " k"]:
        """The trajectory numbers in the pool."""
        return self._anywhere.members

    def draw(self, random: RowRandom, stream: str) -> Int64[np.ndarray, " m"]:
        """Draw a trajectory a row: the one that a question is about."""
        return self._anywhere.at(random.ticket(stream, self._anywhere.total))

    def draw_other_task(
        self, random: RowRandom, stream: str, unlike: Int64[np.ndarray, " m"], same_source: Bool[np.ndarray, " m"]
    ) -> Int64[np.ndarray, " m"]:
        """Draw a trajectory of another task than `unlike`'s; from its source where `same_source` and there is one."""
        near_room = self._within_source.outside(unlike)
        near = same_source & (near_room > 0)
        ticket = random.below(stream, np.where(near, near_room, self._anywhere.outside(unlike)))
        out = np.empty_like(unlike)
        for order, rows in ((self._within_source, near), (self._anywhere, ~near)):
            out[rows] = order.at_outside(ticket[rows], unlike[rows])
        return out

    def has_other_task(self) -> Bool[np.ndarray, " n"]:
        """Return for every trajectory whether the pool has one of another task."""
        return self._anywhere.outside(slice(None)) > 0


class Order:
    """Members group by group with exact cumulative weights; all n trajectories know their group.

    A ticket is a number in [0, total); each member owns an interval of them as long as its weight. 8 to 16 bytes a
    member and 32 a group.
    """

    def __init__(self, groups: Groups, members: Bool[np.ndarray, " n"], weights: Int64[np.ndarray, " n"] | None):
        self.members = groups.order[members[groups.order]]
        self._cumulative = None if weights is None else _summed(weights[self.members])
        self._group = groups.of
        past = np.cumsum(np.bincount(groups.of[self.members], minlength=len(groups))).astype(np.int64)
        begin = past - np.bincount(groups.of[self.members], minlength=len(groups))
        self._inner_low, self._inner_high = self._tickets(begin), self._tickets(past)
        self._outer_low = self._inner_low[groups.first]
        self._outside = self._inner_high[groups.last] - self._outer_low - (self._inner_high - self._inner_low)

    def _tickets(self, place: Int64[np.ndarray, " g"]) -> Int64[np.ndarray, " g"]:
        return place if self._cumulative is None else self._cumulative[place]

    @property
    def total(self) -> int:
        """The weight of all members."""
        return len(self.members) if self._cumulative is None else int(self._cumulative[-1])

    def outside(self, of: Int64[np.ndarray, " m"] | slice) -> Int64[np.ndarray, " m"]:
        """Return the weight within each trajectory's wider group but outside its own."""
        return self._outside[self._group[of]]

    def at(self, ticket: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the member whose weight interval holds each ticket in [0, total)."""
        if not len(self.members):
            return ticket * 0
        place = ticket if self._cumulative is None else np.searchsorted(self._cumulative, ticket, side="right") - 1
        return self.members[np.clip(place, 0, len(self.members) - 1)]

    def at_outside(self, ticket: Int64[np.ndarray, " m"], of: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return members for tickets in [0, outside) of each trajectory: its own group is stepped over."""
        group = self._group[of]
        ticket = self._outer_low[group] + ticket
        low, high = self._inner_low[group], self._inner_high[group]
        return self.at(ticket + np.where(ticket >= low, high - low, 0))


def _summed(weights: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k+1"]:
    return np.concatenate([[0], np.cumsum(weights)]).astype(np.int64)
