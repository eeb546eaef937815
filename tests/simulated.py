"""The bundle of simulated videos: where it lies, what is in it, and how the fixtures move that it shows."""

import numpy as np

from rfm.ingest.bundled import bundled_videos
from rfm.ingest.metaworld.task import Task

BUNDLE = bundled_videos()
Arrays = dict[str, np.ndarray]
ALL_QUALITIES = {"successful", "suboptimal", "failure"}
SLIDES = {"window": (1, 0, 0), "drawer": (0, 1, 0), "handle": (0, 0, 1)}
HINGES = {"door": (-0.185, -0.1), "faucet": (0.0, 0.0)}
"""How the part of a fixture moves with its joint; hinges are upright, at x and y from the fixture's origin."""


def point_at(task: Task, joint: np.ndarray, goal: np.ndarray, owner: Task) -> np.ndarray:
    """Where `task` measures, [t, 3], when the joint stands so in an episode of `owner` with this goal."""
    fixture, site = goal - owner.place.goal, np.array(task.place.site)
    if task.scene in SLIDES:
        moved = site + joint[:, None] * SLIDES[task.scene]
    else:
        x, y = site[:2] - HINGES[task.scene]
        turned = x * np.cos(joint) - y * np.sin(joint), x * np.sin(joint) + y * np.cos(joint)
        moved = np.stack([turned[0], turned[1], np.full(len(joint), site[2])], -1) + np.array(
            (*HINGES[task.scene], 0.0)
        )
    return fixture + moved + task.offset
