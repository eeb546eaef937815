"""The trajectories of a catalog that are long enough to ask about, and what the others still say of them.

An episode too short to show keeps what it says: its preference group has a score for its instruction, its task occurs
in its scene, its file has its description. So what is known of instructions is found in the whole catalog.
"""

from __future__ import annotations

from functools import cached_property

from rfm.sampling.instructions import Instructions
from rfm.trajectories.catalog import Catalog


class Usable:
    """The trajectories of at least `least_frames` frames."""

    def __init__(self, whole: Catalog, least_frames: int):
        self._whole = whole
        self._keep = whole.num_frames >= least_frames
        self.catalog = whole if self._keep.all() else whole.select(self._keep)
        self.left_out = int((~self._keep).sum())
        """How many trajectories are shorter."""

    @cached_property
    def instructions(self) -> Instructions:
        """What is known of asking other tasks' instructions of `catalog`'s clips."""
        return Instructions(self._whole, self._keep, self.catalog)
