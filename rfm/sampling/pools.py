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
        all_weights = np.ones(len(catalog), np.int64) if weights is None else weights
        self._task = catalog.task_code.astype(np.int64)
        self._source = catalog.source_code.astype(np.int64)
        self._within_source = Order(np.flatnonzero(members), all_weights, self._source, self._task)
        self._anywhere = Order(np.flatnonzero(members), all_weights, np.zeros_like(self._source), self._task)

    def __len__(self) -> int:
        return len(self._anywhere.members)

    @property
    def members(self) -> Int64[np.ndarray, " k"]:
        """The trajectory numbers in the pool."""
        return self._anywhere.members

    def draw(self, random: RowRandom, stream: str) -> Int64[np.ndarray, " m"]:
        """Draw a trajectory a row."""
        return self._anywhere.at(random.below(stream, int(self._anywhere.total)))

    def draw_other_task(
        self, random: RowRandom, stream: str, unlike: Int64[np.ndarray, " m"], same_source: Bool[np.ndarray, " m"]
    ) -> Int64[np.ndarray, " m"]:
        """Draw a trajectory of another task than `unlike`'s; from its source where `same_source` and there is one."""
        near_room = self._within_source.outside(self._source[unlike], self._task[unlike])
        near = same_source & (near_room > 0)
        far_room = self._anywhere.outside(np.zeros_like(unlike), self._task[unlike])
        ticket = random.below(stream, np.where(near, near_room, far_room))
        out = np.empty_like(unlike)
        for order, rows, outer in (
            (self._within_source, near, self._source[unlike]),
            (self._anywhere, ~near, np.zeros_like(unlike)),
        ):
            out[rows] = order.at_outside(ticket[rows], outer[rows], self._task[unlike[rows]])
        return out

    def has_other_task(self) -> Bool[np.ndarray, " n"]:
        """Return for every trajectory of the catalog whether the pool has one of another task."""
        return self._anywhere.outside(np.zeros_like(self._task), self._task) > 0


class Order:
    """Members sorted by (outer, inner) code with exact cumulative weights."""

    def __init__(self, members: np.ndarray, weights: np.ndarray, outer: np.ndarray, inner: np.ndarray):
        order = members[np.lexsort((members, inner[members], outer[members]))]
        self.members = order
        self._stride = int(inner.max(initial=0)) + 2
        self._key = outer[order] * self._stride + inner[order]
        self._cumulative = np.concatenate([[0], np.cumsum(weights[order])]).astype(np.int64)

    @property
    def total(self) -> int:
        """The weight of all members."""
        return int(self._cumulative[-1])

    def at(self, ticket: np.ndarray) -> Int64[np.ndarray, " m"]:
        """Return the member whose weight interval holds each ticket in [0, total)."""
        place = np.searchsorted(self._cumulative, ticket, side="right") - 1
        return self.members[np.clip(place, 0, max(len(self.members) - 1, 0))] if len(self.members) else ticket * 0

    def group(self, outer: np.ndarray, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ticket interval of each (outer, inner) group."""
        key = outer * self._stride + inner
        low, high = np.searchsorted(self._key, key, "left"), np.searchsorted(self._key, key, "right")
        return self._cumulative[low], self._cumulative[high]

    def outside(self, outer: np.ndarray, inner: np.ndarray) -> Int64[np.ndarray, " m"]:
        """Return the weight within each outer group but outside the inner one."""
        inner_low, inner_high = self.group(outer, inner)
        low, high = self._outer(outer)
        return (high - low) - (inner_high - inner_low)

    def at_outside(self, ticket: np.ndarray, outer: np.ndarray, inner: np.ndarray) -> Int64[np.ndarray, " m"]:
        """Return members for tickets in [0, outside): the inner group is stepped over."""
        low, _ = self._outer(outer)
        inner_low, inner_high = self.group(outer, inner)
        beyond = low + ticket >= inner_low
        return self.at(low + ticket + np.where(beyond, inner_high - inner_low, 0))

    def _outer(self, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = np.searchsorted(self._key, outer * self._stride, "left")
        high = np.searchsorted(self._key, (outer + 1) * self._stride, "left")
        return self._cumulative[low], self._cumulative[high]
