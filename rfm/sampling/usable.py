"""The trajectories of a catalog that can be asked about, and what the others still say of them.

An episode too short to show, or with evidence that contradicts itself, keeps what it says: its preference group has a
score for its instruction, its task occurs in its scene, its file has its description (`Catalog.witnesses`).
"""

from __future__ import annotations

from functools import cached_property

from rfm.sampling.evidence import Contested
from rfm.sampling.instructions import Instructions
from rfm.trajectories.catalog import Catalog


class Usable:
    """The trajectories of at least `least_frames` frames that are not contested (`evidence`)."""

    def __init__(self, whole: Catalog, least_frames: int, threshold: float):
        long_enough = whole.num_frames >= least_frames
        contested = Contested(whole, threshold)
        keep = long_enough & ~contested.rows
        self.catalog = whole if keep.all() else whole.select(keep)
        self.too_short = int((~long_enough).sum())
        """How many trajectories are shorter."""
        self.contested = int((long_enough & contested.rows).sum())
        """How many of the others have evidence that contradicts itself."""
        self.notes = contested.notes
        """Which those are, and why."""

    @cached_property
    def instructions(self) -> Instructions:
        """What is known of asking other tasks' instructions of `catalog`'s clips."""
        return Instructions(self.catalog)
