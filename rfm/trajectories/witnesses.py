"""What all trajectories of the datasets say of instructions, also those that nothing is asked about.

A trajectory that is on another side of a split, too short or not readable still says that its task occurs in its scene,
which instructions its frames file is described by, and towards which tasks progress was recorded there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64


@dataclass(frozen=True, eq=False)
class Witnesses:
    """n trajectories; k records of progress towards other tasks."""

    family: Int32[np.ndarray, "n"]
    """`Catalog.family_code`, and so on."""
    scene: Int32[np.ndarray, "n"]
    group: Int32[np.ndarray, "n"]
    file: Int32[np.ndarray, "n"]
    recorded: Int64[np.ndarray, "k"]
    """The trajectory of each record."""
    recorded_family: Int32[np.ndarray, "k"]
    """The family of the task that it is towards."""
