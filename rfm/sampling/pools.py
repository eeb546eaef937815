"""Pools: the trajectories that can serve a strategy, and drawing from them by source and task.

Weights are whole numbers so that cumulative sums are exact: a draw can never fall into the task it must avoid. Each
draw is a binary search, so a block of m rows costs O(m log n) whatever the size of the catalog.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from rfm.sampling.random import RowRandom
from rfm.trajectories.catalog import Catalog


class Pool:
    """Some trajectories of a catalog with whole-number weights, drawn in proportion to them."""

    def __init__(
        self, catalog: Catalog, members: Bool[np.ndarray, " n"], weights: Int64[np.ndarray, " n"] | None = None
    ):
        task = catalog.task_code.astype(np.int64)
        source = catalog.source_code.astype(np.int64)
        self._within_source = Order(np.flatnonzero(members), weights, source, task)
        self._anywhere = Order(np.flatnonzero(members), weights, np.zeros_like(source), task)

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
        near_room = self._within_source.outside[unlike]
        near = same_source & (near_room > 0)
        ticket = random.below(stream, np.where(near, near_room, self._anywhere.outside[unlike]))
        out = np.empty_like(unlike)
        for order, rows in ((self._within_source, near), (self._anywhere, ~near)):
            out[rows] = order.at_outside(ticket[rows], unlike[rows])
        return out

    def has_other_task(self) -> Bool[np.ndarray, " n"]:
        """Return for every trajectory of the catalog whether the pool has one of another task."""
        return self._anywhere.outside > 0


class Order:
    """Members sorted by (outer, inner) code with exact cumulative weights; all n trajectories know their group in it.

    A ticket is a number in [0, total); each member owns an interval of them as long as its weight. 32 bytes a
    trajectory.
    """

    def __init__(
        self,
        members: Int64[np.ndarray, " k"],
        weights: Int64[np.ndarray, " n"] | None,
        outer: Int64[np.ndarray, " n"],
        inner: Int64[np.ndarray, " n"],
    ):
        order = members[np.lexsort((members, inner[members], outer[members]))]
        self.members = order
        self._cumulative = None if weights is None else _summed(weights[order])
        stride = int(inner.max(initial=0)) + 2
        key, asked = outer[order] * stride + inner[order], outer * stride + inner
        self._inner_low = self._tickets(np.searchsorted(key, asked, "left"))
        self._inner_high = self._tickets(np.searchsorted(key, asked, "right"))
        self._outer_low = self._tickets(np.searchsorted(key, outer * stride, "left"))
        self.outside: Int64[np.ndarray, " n"] = (
            self._tickets(np.searchsorted(key, (outer + 1) * stride, "left"))
            - self._outer_low
            - (self._inner_high - self._inner_low)
        )
        """The weight within each trajectory's outer group but outside its inner one."""

    def _tickets(self, place: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        return place.astype(np.int64) if self._cumulative is None else self._cumulative[place]

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

    def at_outside(self, ticket: Int64[np.ndarray, " m"], of: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return members for tickets in [0, outside) of each trajectory: its inner group is stepped over."""
        ticket = self._outer_low[of] + ticket
        low, high = self._inner_low[of], self._inner_high[of]
        return self.at(ticket + np.where(ticket >= low, high - low, 0))


def _summed(weights: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k+1"]:
    return np.concatenate([[0], np.cumsum(weights)]).astype(np.int64)
