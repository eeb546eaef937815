"""Pools: the trajectories that can serve a strategy, and drawing from them by source.

Weights are whole numbers so that cumulative sums are exact: a draw can never fall on what it must avoid. Each draw is a
binary search, so a block of m rows costs O(m log n) whatever the size of the catalog.

What an instruction must not be set against is stepped over: whole places (the scenes in which its task occurs) and
single trajectories (those that show the same file, or whose preference group has a score for it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from rfm.sampling.barred import Barred
from rfm.sampling.random import RowRandom


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
class Layout:
    """All n trajectories by (area, place), and what each must not be set against within its area.

    Trajectories of one area and kind have the same `owner`, which steps over whole groups (an area's places) and over
    single trajectories.
    """

    order: Int64[np.ndarray, " n"]
    """The trajectories, group by group."""
    group: Int64[np.ndarray, " n"]
    groups: int
    owner: Int64[np.ndarray, " n"]
    first: Int64[np.ndarray, " w"]
    """The first group of each owner's area."""
    last: Int64[np.ndarray, " w"]
    over_groups: tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]
    """Owners, and the groups that they step over."""
    over_single: tuple[Int64[np.ndarray, " b"], Int64[np.ndarray, " b"]]
    """Owners, and trajectories of other groups that they step over."""

    @staticmethod
    def build(
        area: Int[np.ndarray, " n"],
        place: Int[np.ndarray, " n"],
        kind: Int[np.ndarray, " n"],
        held: tuple[Int[np.ndarray, " h"], Int[np.ndarray, " h"]],
        barred: Barred | None = None,
    ) -> Layout:
        """Return the layout; `held` lists (kind, place), the places that a kind steps over, each once.

        `barred` names kinds and trajectories of other places.
        """
        area, place, kind = (code.astype(np.int64) for code in (area, place, kind))
        places = int(max(place.max(initial=0), held[1].max(initial=0))) + 1
        kinds = int(max(kind.max(initial=0), held[0].max(initial=0))) + 1
        group_keys, group = np.unique(area * places + place, return_inverse=True)
        owner_keys, owner = np.unique(area * kinds + kind, return_inverse=True)
        area_of_group, area_of_owner = group_keys // places, owner_keys // kinds
        first = np.searchsorted(area_of_group, area_of_owner, "left")
        past = np.searchsorted(area_of_group, area_of_owner, "right")
        return Layout(
            order=np.argsort(group, kind="stable"),
            group=group,
            groups=len(group_keys),
            owner=owner,
            first=first,
            last=past - 1,
            over_groups=_over_groups(owner_keys, kinds, group_keys, places, held),
            over_single=_over_single(owner_keys, kinds, area, barred),
        )


def _over_groups(
    owner_keys: np.ndarray, kinds: int, group_keys: np.ndarray, places: int, held: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the owners and groups of one area whose kind and place are in `held`."""
    kind, place = (part.astype(np.int64) for part in held)
    by_kind = np.argsort(kind, kind="stable")
    kind, place = kind[by_kind], place[by_kind]
    of_owner = owner_keys % kinds
    low, high = np.searchsorted(kind, of_owner, "left"), np.searchsorted(kind, of_owner, "right")
    owner = np.repeat(np.arange(len(owner_keys)), high - low)
    entry = np.arange(len(owner)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + low[owner]
    wanted = owner_keys[owner] // kinds * places + place[entry]
    group = np.minimum(np.searchsorted(group_keys, wanted), max(len(group_keys) - 1, 0))
    there = group_keys[group] == wanted if len(group_keys) else np.zeros(len(wanted), bool)
    return owner[there], group[there]


def _over_single(
    owner_keys: np.ndarray, kinds: int, area: np.ndarray, barred: Barred | None
) -> tuple[np.ndarray, np.ndarray]:
    if barred is None or not len(barred.family):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing
    wanted = area[barred.trajectory] * kinds + barred.family
    owner = np.minimum(np.searchsorted(owner_keys, wanted), len(owner_keys) - 1)
    there = (owner_keys[owner] == wanted) & (barred.family < kinds)
    return owner[there], barred.trajectory[there]


class Lot:
    """Members with whole-number weights; a ticket is a number in [0, total), and each owns an interval of them."""

    def __init__(self, members: Int64[np.ndarray, " k"], weights: Int64[np.ndarray, " n"] | None):
        """Take members in the order of their intervals, and the weights of all trajectories (None: 1 each)."""
        self.members = members
        self._cumulative = None if weights is None else _summed(weights[members])

    def __len__(self) -> int:
        return len(self.members)

    def draw(self, random: RowRandom, stream: str) -> Int64[np.ndarray, " m"]:
        """Draw a trajectory a row: the one that a question is about."""
        return self.at(random.ticket(stream, self.total))

    @property
    def weights(self) -> Int64[np.ndarray, " k"]:
        """The weight of each member."""
        return np.ones(len(self), np.int64) if self._cumulative is None else np.diff(self._cumulative)

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
    """Members group by group with exact cumulative weights; all n trajectories know what they step over.

    8 to 16 bytes a member and 32 a group.
    """

    def __init__(self, layout: Layout, members: Bool[np.ndarray, " n"], weights: Int64[np.ndarray, " n"] | None = None):
        super().__init__(layout.order[members[layout.order]], weights)
        self._owner = layout.owner
        held = np.bincount(layout.group[self.members], minlength=layout.groups)
        past = np.cumsum(held).astype(np.int64)
        low, high = self.tickets(past - held), self.tickets(past)
        self._low = low[layout.first]
        owner, group = layout.over_groups
        alone, trajectory = layout.over_single
        alone, trajectory = alone[members[trajectory]], trajectory[members[trajectory]]
        place = np.empty(len(members), np.int64)
        place[self.members] = np.arange(len(self.members))
        start, end = self.tickets(place[trajectory]), self.tickets(place[trajectory] + 1)
        self._steps = Steps(
            len(layout.first),
            np.concatenate([owner, alone]),
            np.concatenate([low[group] - self._low[owner], start - self._low[alone]]),
            np.concatenate([high[group] - low[group], end - start]),
        )
        self._outside = high[layout.last] - self._low - self._steps.width

    def outside(self, of: Int64[np.ndarray, " m"] | slice) -> Int64[np.ndarray, " m"]:
        """Return the weight within each trajectory's area of what it may be set against."""
        return self._outside[self._owner[of]]

    def at_outside(self, ticket: Int64[np.ndarray, " m"], of: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return members for tickets in [0, outside) of each trajectory."""
        owner = self._owner[of]
        return self.at(self._low[owner] + self._steps.over(owner, ticket))

    def draw_outside(self, random: RowRandom, stream: str, of: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Draw a member that each trajectory may be set against; there must be one."""
        return self.at_outside(random.below(stream, self.outside(of)), of)


class Runs:
    """k members in runs of equal code, drawn within a run in proportion to whole-number weights."""

    def __init__(self, code: Int64[np.ndarray, " k"], weights: Int64[np.ndarray, " k"] | None = None):
        self._order = np.argsort(code, kind="stable")
        self._codes, begins = np.unique(code[self._order], return_index=True)
        self._summed = _summed(np.ones_like(code) if weights is None else weights[self._order])
        self._low = self._summed[np.append(begins, len(code))]

    def weight(self, code: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return the weight of each code's run; 0 where there is none."""
        return np.where(self._known(code), np.diff(self._low)[self._at(code)], 0) if len(self._codes) else code * 0

    def draw(self, ticket: Float64[np.ndarray, " m"], code: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return a member of each code's run, which must not be empty, by a number in [0, 1)."""
        if not len(code):
            return code
        run = self._at(code)
        number = self._low[run] + (ticket * (self._low[run + 1] - self._low[run])).astype(np.int64)
        return self._order[np.searchsorted(self._summed, number, side="right") - 1]

    def _at(self, code: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        return np.minimum(np.searchsorted(self._codes, code), len(self._codes) - 1)

    def _known(self, code: Int64[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        return self._codes[self._at(code)] == code


def _summed(weights: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k+1"]:
    return np.concatenate([[0], np.cumsum(weights)]).astype(np.int64)
