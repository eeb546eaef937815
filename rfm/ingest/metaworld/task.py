"""What a simulated task is: its wordings, and what its success is measured on.

MetaWorld decides success by one number per task: how far the handle, the button, the plate or the lever still is from
its goal, in metres (radians for the lever), along the axes that count, against a threshold. `Task` repeats that number
as data, read off each environment's `evaluate_state` (MetaWorld 3.x), so that progress needs no second definition of
"done" and can be recomputed with numpy from a stored object and goal. `Place` repeats where a task's object and goal
are on the fixture that both share, so that one's pictures can be measured for the other (`others`).
"""

from dataclasses import dataclass
from typing import Literal

Vector = tuple[float, float, float]
"""x, y, z in metres."""
Axes = tuple[bool, bool, bool]
"""Which of x, y, z count."""
X, Y, Z, XY = (True, False, False), (False, True, False), (False, False, True), (True, True, False)


@dataclass(frozen=True)
class Place:
    """A task on its fixture, the body that an environment puts somewhere at each reset."""

    site: Vector = (0.0, 0.0, 0.0)
    """The point that is measured, on the moving part, from the fixture's origin, with nothing moved: the site or body
    in the environment's XML, and what its `_get_pos_objects` adds."""
    goal: Vector | None = (0.0, 0.0, 0.0)
    """The goal from the fixture's origin, as its `reset_model` puts it; None where that draws it by itself."""
    start: Vector = (0.0, 0.0, 0.0)
    """Object less goal at the first frame, the median of the bundled episodes of this task."""
    turns: bool = False
    """Whether the part turns about the fixture's upright axis; else it slides, or all tasks measure one point."""
    fixture: Vector | None = None
    """The fixture's origin where it never moves; None where it follows from the goal."""


@dataclass(frozen=True)
class Task:
    """One task: distance = norm of (object - goal) over `axes`, in the unit of `threshold`."""

    name: str
    """MetaWorld's environment name without its version; also the `task_id`."""
    wordings: tuple[str, ...]
    """Instructions that mean this task, at least two."""
    scene: str
    """What its pictures show; tasks with the same one look at the same things."""
    threshold: float
    """Largest distance that MetaWorld counts as success; metres, radians where `joint` is set."""
    axes: Axes = (True, True, True)
    offset: Vector = (0.0, 0.0, 0.0)
    """What the environment adds to the observed object position before it measures, in metres."""
    measured: Literal["object", "hand"] = "object"
    """What has to come near the goal: the observed object, or the point between the fingers."""
    joint: str | None = None
    """Measured on this joint's angle instead: object = (-angle, 0, 0), goal = (`goal_angle`, 0, 0)."""
    goal_angle: float = 0.0
    """Goal of `joint` in radians; unused without one."""
    pace: tuple[float, float] = (0.12, 0.3)
    """Range of the speed, as a share of the expert's, at which the object is moved: far objects faster."""
    follow_through: tuple[int, int] = (10, 25)
    """Range of simulator steps that an expert goes on after success; none where that would overshoot the goal."""
    others: tuple[str, ...] = ()
    """Tasks whose scripted expert is let loose here as a wrong policy."""
    place: Place | None = None
    """None where no other task of the scene is measured in this one's pictures, nor this one in theirs."""
    absent_in: tuple[str, ...] = ()
    """Tasks of the scene in whose pictures what this one acts on is not there, so that nothing of it is ever done."""
    unknown_in: tuple[str, ...] = ()
    """Tasks of the scene in whose pictures viewers would not agree how far this one is."""

    @property
    def scene_id(self) -> str:
        """The name of the scene among those of other datasets."""
        return f"metaworld-{self.scene}"

    @property
    def env_name(self) -> str:
        """The environment's key in MetaWorld's tables."""
        return f"{self.name}-v3"
