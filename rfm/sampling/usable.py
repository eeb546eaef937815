"""The trajectories long enough to ask about, and what those that are not still say of the others.

An episode of a preference group that is too short to show keeps its instruction: the group has a score for it, so no
other video of the group may be shown with it as a wrong one. So barred pairs are found in the whole catalog and then
carried over to the trajectories that are left.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from rfm.sampling.pools import Barred, barred
from rfm.trajectories.catalog import Catalog


class Usable:
    """The trajectories of a catalog that have at least so many frames."""

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
