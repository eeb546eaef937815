"""Partners within a group whose value lies below a limit, known for every trajectory before drawing.

Members are sorted by (group, value), so the partners of a trajectory are one run of them, its own place left out: a
partner is one array access away. 32 bytes a trajectory.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64

_SPAN = 8.0  # values and limits lie within [-2, 2], so that groups stay apart in one sorted key


class PartnersBelow:
    """For each trajectory, the other members of its group whose value is at most its limit."""

    def __init__(
        self,
        group: Int64[np.ndarray, " n"],
        members: Bool[np.ndarray, " n"],
        value: Float64[np.ndarray, " n"],
        limit: Float64[np.ndarray, " n"],
    ):
        number = np.flatnonzero(members)
        self._order = number[np.lexsort((number, value[number], group[number]))]
        of = group[self._order]
        self._first = np.searchsorted(of, group)
        past = np.searchsorted(of * _SPAN + value[self._order], group * _SPAN + np.clip(limit, -2, 2), "right")
        past = np.maximum(past, self._first)
        self._place = np.full(len(group), -1, np.int64)
        self._place[self._order] = np.arange(len(self._order))
        self._own = (self._place >= self._first) & (self._place < past)
        self.count: Int64[np.ndarray, " n"] = past - self._first - self._own
        """How many partners each trajectory has."""

    def at(self, trajectory: Int64[np.ndarray, " m"], number: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return each trajectory's partner of this number, which must be below its count."""
        place = self._first[trajectory] + number
        place += self._own[trajectory] & (place >= self._place[trajectory])
        return self._order[place]
