"""Progress and quality of an episode, from the simulator's state alone.

Progress at a frame is the share of the way to success that is done: `(d0 - d) / (d0 - threshold)` with d the distance
between object and goal now and d0 at the first frame. It reaches 1 where the environment's own test of success does, so
there is no jump at the end; it is exactly 1.0 at frames that succeed and at most 0.99 at all others; it falls when the
object is moved back. Time plays no part, nor does the policy that was meant to run.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

Quality = Literal["successful", "suboptimal", "failure"]
QUALITIES: tuple[Quality, ...] = ("successful", "suboptimal", "failure")

SUBOPTIMAL_FROM = 0.3
"""Final progress from which an episode without success counts as suboptimal and no longer as failure."""
UNSOLVED_AT_MOST = 0.99
"""Highest progress of a frame at which the simulator does not report success."""
CLEARLY_SHORT = 0.85
"""Episodes that end above this without success are drawn again: nobody could tell them from success by looking."""


def distance(
    object_pos: Float[np.ndarray, "*t 3"], goal: Float[np.ndarray, "3"], axes: Bool[np.ndarray, "3"]
) -> Float[np.ndarray, "*t"]:
    """Distance of object and goal over `axes`, in the unit of the positions."""
    difference = np.where(axes, np.asarray(object_pos, np.float64) - np.asarray(goal, np.float64), 0.0)
    return np.asarray(np.linalg.norm(difference, axis=-1))


def share_done(now: Float[np.ndarray, "*t"] | float, start: float, threshold: float) -> Float[np.ndarray, "*t"]:
    """Share of the way from `start` to `threshold` that is done, clipped to [0, 1]; the start may not be a success."""
    if start <= threshold:
        raise ValueError(f"distance at the first frame must be > {threshold} (the success threshold), but is {start}")
    return np.clip((start - np.asarray(now, np.float64)) / (start - threshold), 0.0, 1.0)


def progress_labels(
    object_pos: Float[np.ndarray, "t 3"],
    goal: Float[np.ndarray, "3"],
    axes: Bool[np.ndarray, "3"],
    threshold: float,
    success: Bool[np.ndarray, "t"],
) -> Float[np.ndarray, "t"]:
    """Progress in [0, 1] per frame: `rounded_progress` from the distance at the first frame."""
    d = distance(object_pos, goal, axes)
    return rounded_progress(d, float(d[0]), threshold, success)


def rounded_progress(
    d: Float[np.ndarray, "t"], start: float, threshold: float, success: Bool[np.ndarray, "t"]
) -> Float[np.ndarray, "t"]:
    """The share of the way that is done, rounded to 4 digits: 1.0 exactly where `success`, else at most 0.99."""
    unsolved = np.minimum(share_done(d, start, threshold), UNSOLVED_AT_MOST)
    return np.round(np.where(success, 1.0, unsolved), 4)


def quality_label(success_at_end: bool, final_progress: float) -> Quality:
    """Quality of an episode by its last shown frame; see `SUBOPTIMAL_FROM`."""
    if success_at_end:
        return "successful"
    return "suboptimal" if final_progress >= SUBOPTIMAL_FROM else "failure"
