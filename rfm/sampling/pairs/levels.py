"""Who did better within a group of episodes of one task, as far as the evidence agrees.

Where every episode of a group has a partial success (a success without one has 1), those decide and must differ by
`data.partial_success_threshold`; elsewhere quality labels do, and episodes of unknown quality are left out. Two
episodes of which the one with the better label has less partial success are no pair.

Members are sorted by (group, kind, partial success), where a kind is a label with or without a partial success. Of one
kind the worse partners of a trajectory are a run from the kind's start and the better ones a run to its end, so a
partner is found among eight runs at most, and who has none is known beforehand. 12 bytes a trajectory and kind.

Shape legend: n trajectories, k members, g groups, c kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from rfm.sampling.evidence import stated_success
from rfm.trajectories.catalog import Catalog

_SAME = 1e-6


@dataclass(frozen=True)
class Level:
    """One way of grouping."""

    members: Int64[np.ndarray, " k"]
    group: Int64[np.ndarray, " n"]
    first: Int32[np.ndarray, "g c"]
    """Where the members of a kind begin."""
    past: Int32[np.ndarray, "g c"]
    worse: Int32[np.ndarray, "n c"]
    """Where the worse partners of a kind end, which begin at `first`."""
    better: Int32[np.ndarray, "n c"]
    """Where the better partners of a kind begin, which end at `past`."""
    contrary: Int32[np.ndarray, "n c"]
    """How many more members of a kind the deciding evidence calls worse, but the other evidence better."""

    @cached_property
    def worse_partners(self) -> Int64[np.ndarray, " n"]:
        """How many worse partners each trajectory has; 0 for those that are no members."""
        return (self.worse - self.first[self.group]).sum(axis=1)

    @cached_property
    def partners(self) -> Int64[np.ndarray, " n"]:
        """How many partners each trajectory has; 0 for those that are no members."""
        return self.worse_partners + (self.past[self.group] - self.better).sum(axis=1)

    @staticmethod
    def build(catalog: Catalog, eligible: Bool[np.ndarray, " n"], group: np.ndarray, threshold: float) -> Level:
        """Return the level of `group`; episodes that are not `eligible` are no members."""
        group = np.unique(group, return_inverse=True)[1].astype(np.int64)
        known = _Known.of(catalog, eligible, group)
        kinds, kind = np.unique(known.label * 2 + known.has_partial, return_inverse=True)
        run = group * len(kinds) + kind
        members = np.flatnonzero(known.member)
        order = members[np.lexsort((members, known.partial[members], run[members]))]
        groups = int(group.max(initial=-1)) + 1
        runs = np.arange(groups * len(kinds)).reshape(groups, len(kinds))
        first, past = (np.searchsorted(run[order], runs, side).astype(np.int32) for side in ("left", "right"))
        keys = run[order] * 8.0 + known.partial[order]
        worse, better = first[group], past[group]
        contrary = np.zeros_like(worse)
        for number, code in enumerate(kinds.tolist()):
            ends = runs[group[members], number], keys, first[group[members], number], past[group[members], number]
            label, has_partial = divmod(code, 2)
            cuts = known.cuts(members, label, has_partial, threshold).within(*ends)
            worse[members, number], better[members, number], contrary[members, number] = cuts
        return Level(order, group, first, past, worse, better, contrary)

    def partner(
        self, anchor: Int64[np.ndarray, " m"], ticket: Float64[np.ndarray, " m"]
    ) -> tuple[Int64[np.ndarray, " m"], Bool[np.ndarray, " m"]]:
        """Return a partner of each anchor and whether the anchor is the better of the two."""
        step = np.minimum((ticket * self.partners[anchor]).astype(np.int64), self.partners[anchor] - 1)
        is_better = step < self.worse_partners[anchor]
        first, past = self.first[self.group[anchor]], self.past[self.group[anchor]]
        begin = np.concatenate([first, self.better[anchor]], axis=1)
        return self._nth(begin, np.concatenate([self.worse[anchor], past], axis=1), step), is_better

    def nth_worse(self, anchor: Int64[np.ndarray, " m"], step: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the worse partner number `step` of each anchor."""
        return self._nth(self.first[self.group[anchor]], self.worse[anchor], step)

    def _nth(self, begin: np.ndarray, end: np.ndarray, step: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the member number `step` of the runs of each row, one after the other."""
        past = np.cumsum(end - begin, axis=1)
        column = (past <= step[:, None]).sum(axis=1)
        rows = np.arange(len(step))
        return self.members[end[rows, column] - past[rows, column] + step]

    def first_contrary(self) -> tuple[int, int]:
        """Return two episodes of which the first has the better label or the more partial success, but not both."""
        anchor, kind = (int(at) for at in np.argwhere(self.contrary)[0])
        return anchor, int(self.members[self.worse[anchor, kind]])


@dataclass(frozen=True)
class _Cuts:
    """Of one kind, the partial success up to which members are worse and from which they are better, by anchor.

    -inf and inf stand for none and for all.
    """

    decided: Float64[np.ndarray, " k"]
    """Up to which the deciding evidence calls members worse."""
    worse: Float64[np.ndarray, " k"]
    better: Float64[np.ndarray, " k"]

    def within(
        self, run: np.ndarray, keys: np.ndarray, first: np.ndarray, past: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return where worse members end, where better ones begin, and how many others the evidence is divided on."""

        def place(partial: np.ndarray, side: str) -> np.ndarray:
            return np.searchsorted(keys, run * 8.0 + np.clip(partial, -1, 2), side)  # type: ignore[call-overload]

        worse = np.clip(place(self.worse, "right"), first, past)
        decided = np.clip(place(self.decided, "right"), first, past)
        return worse, np.clip(place(self.better, "left"), first, past), np.maximum(decided - worse, 0)


@dataclass(frozen=True)
class _Known:
    """What is known of each trajectory."""

    label: Int64[np.ndarray, " n"]
    has_partial: Bool[np.ndarray, " n"]
    partial: Float64[np.ndarray, " n"]
    """0 where unknown."""
    by_partial: Bool[np.ndarray, " n"]
    """Whether partial success decides in the group."""
    member: Bool[np.ndarray, " n"]

    @staticmethod
    def of(catalog: Catalog, eligible: Bool[np.ndarray, " n"], group: Int64[np.ndarray, " n"]) -> _Known:
        partial = stated_success(catalog, np.arange(len(catalog)))
        complete = np.ones(int(group.max(initial=0)) + 1, bool)
        complete[group[eligible & np.isnan(partial)]] = False
        by_partial, label = complete[group], catalog.quality.astype(np.int64)
        member = eligible & (by_partial | (label >= 0))
        return _Known(label, ~np.isnan(partial), np.nan_to_num(partial), by_partial, member)

    def cuts(self, anchor: Int64[np.ndarray, " k"], label: int, has_partial: int, threshold: float) -> _Cuts:
        """Return which members of a kind are worse, and which better, than each anchor."""
        own, partial, by_partial = self.label[anchor], self.partial[anchor], self.by_partial[anchor]
        comparable = (own >= 0) & (label >= 0)
        both = self.has_partial[anchor] & bool(has_partial)
        decided = np.where(by_partial, partial - threshold, np.where(comparable & (label < own), np.inf, -np.inf))
        agreed = np.where(comparable & (label > own), -np.inf, np.where(both, partial + _SAME, np.inf))
        above = np.where(by_partial, partial + threshold, np.where(comparable & (label > own), -np.inf, np.inf))
        agrees = np.where(comparable & (label < own), np.inf, np.where(both, partial - _SAME, -np.inf))
        return _Cuts(decided, np.minimum(decided, agreed), np.maximum(above, agrees))
