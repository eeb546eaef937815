"""Which videos an instruction must not be asked of as a wrong one, whatever their scene.

A video whose preference group has a score of its own for another instruction (RoboReward's counterfactual instructions)
and one that another row describes in other words (a second annotation of the same frames file) may fulfil it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int, Int64

from rfm.errors import DataError

MOST_BARRED = 100_000_000


@dataclass(frozen=True)
class Barred:
    """Pairs of a family of tasks and a trajectory of another one, each pair once."""

    family: Int64[np.ndarray, " b"]
    trajectory: Int64[np.ndarray, " b"]

    def hold(self, family: Int[np.ndarray, " m"], trajectory: Int64[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        """Return which pairs of a family and a trajectory are barred."""
        if not len(self._sorted):
            return np.zeros(len(family), bool)
        key = family * self._trajectories + np.minimum(trajectory, self._trajectories)
        found = self._sorted[np.minimum(np.searchsorted(self._sorted, key), len(self._sorted) - 1)]
        return (found == key) & (trajectory < self._trajectories)

    def only(self, chosen: Bool[np.ndarray, " b"]) -> Barred:
        """Return some of the pairs."""
        return Barred(self.family[chosen], self.trajectory[chosen])

    def joined(self, other: Barred) -> Barred:
        """Return the pairs that are in either."""
        family = np.concatenate([self.family, other.family])
        trajectory = np.concatenate([self.trajectory, other.trajectory])
        _, at = np.unique(family * (int(trajectory.max(initial=0)) + 1) + trajectory, return_index=True)
        return Barred(family[at], trajectory[at])

    @cached_property
    def _trajectories(self) -> int:
        return int(self.trajectory.max(initial=0)) + 1

    @cached_property
    def _sorted(self) -> Int64[np.ndarray, " b"]:
        return np.sort(self.family * self._trajectories + self.trajectory)


def barred(family: Int[np.ndarray, " n"], group: Int[np.ndarray, " n"], named_by: str) -> Barred:
    """Return each family of a group with each trajectory of the group that has another one; -1 is no group.

    Raises:
        DataError: groups are so large that there are more than `MOST_BARRED` pairs; `named_by` is their column.

    """
    grouped = np.flatnonzero((group >= 0) & (np.bincount(group[group >= 0], minlength=1)[np.maximum(group, 0)] > 1))
    order = grouped[np.argsort(group[grouped], kind="stable")]
    span = int(family.max(initial=0)) + 1
    held = np.unique(group[order].astype(np.int64) * span + family[order])  # (group, family), by group
    first, past = (np.searchsorted(held // span, group[order], side) for side in ("left", "right"))
    families = past - first
    if families.sum() > MOST_BARRED:
        raise DataError(
            f"`{named_by}` must name small groups, but these pair {families.sum():,} instructions and videos, "
            f"more than {MOST_BARRED:,}: the largest holds {int(families.max())} tasks"
        )
    trajectory = np.repeat(order, families)
    begins = np.repeat(np.cumsum(families) - families, families)
    told = held[np.arange(families.sum()) - begins + np.repeat(first, families)] % span
    other = told != family[trajectory]
    return Barred(told[other].astype(np.int64), trajectory[other])
