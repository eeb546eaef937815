"""How far the other tasks of an episode's scene have got at each of its frames, from the simulator's state alone.

The other task's own formula, applied to the fixture in the picture: its object and its goal where its environment would
have them (`task.Place`), its axes and threshold, and its usual distance at the start, since nobody began it here. So a
window that stands open fulfils "open the window" before anything moves, and a faucet, whose tasks both begin in the
middle, has done nothing of the one while it turns to the other. It is 1.0 exactly where that task's own test of success
holds.

Left out of an episode: tasks that viewers would not agree about (`unknown_in`), tasks without a `place`, and tasks that
overshoot, for MetaWorld counts backwards beyond a goal where a viewer does not.
"""

import numpy as np
from jaxtyping import Float

from rfm.ingest.metaworld.labels import distance, rounded_progress
from rfm.ingest.metaworld.task import Place, Task
from rfm.ingest.metaworld.tasks import TASKS


def progress_by_task(
    own: Task, object_pos: Float[np.ndarray, "t 3"], goal: Float[np.ndarray, "3"]
) -> dict[str, Float[np.ndarray, "t"]]:
    """Progress by the name of each other task of the scene, for an episode of `own`: its object, and its goal."""
    found = {}
    for other in TASKS.values():
        if other.scene != own.scene or own.name in (other.name, *other.unknown_in):
            continue
        if own.name in other.absent_in:
            found[other.name] = np.zeros(len(object_pos))
        elif (labels := _measured(own, other, object_pos, goal)) is not None:
            found[other.name] = labels
    return found


def _measured(
    own: Task, other: Task, object_pos: Float[np.ndarray, "t 3"], goal: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "t"] | None:
    here, there = own.place, other.place
    if here is None or there is None:
        return None
    fixture = _fixture(here, goal)
    position = _other_point(own, other, (here, there), object_pos, fixture)
    other_goal = fixture + np.array(there.goal, np.float64)
    axes = np.array(other.axes)
    d = distance(position, other_goal, axes)
    success = d <= other.threshold
    beyond = (position - other_goal) @ np.where(axes, there.start, 0.0) < 0
    if (beyond & ~success).any():
        return None
    start = float(distance(np.array(there.start), np.zeros(3), axes))
    return rounded_progress(d, start, other.threshold, success)


def _fixture(place: Place, goal: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    origin = place.fixture if place.goal is None else np.asarray(goal, np.float64) - place.goal
    return np.array(origin, np.float64)


def _other_point(
    own: Task,
    other: Task,
    places: tuple[Place, Place],
    object_pos: Float[np.ndarray, "t 3"],
    fixture: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "t 3"]:
    """Where the other task's point is while `own`'s is at `object_pos`: both are fast on one part."""
    here, there = (np.array(place.site) for place in places)
    local = np.asarray(object_pos, np.float64) - fixture - own.offset
    if not places[0].turns:
        return np.asarray(local + (there - here) + fixture + other.offset)
    turn = np.arctan2(there[1], there[0]) - np.arctan2(here[1], here[0])
    cos, sin = np.cos(turn), np.sin(turn)
    x, y, z = local.T
    turned = np.stack([cos * x - sin * y, sin * x + cos * y, z + there[2] - here[2]], axis=-1)
    return np.asarray(turned + fixture + other.offset)
