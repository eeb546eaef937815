"""The simulated tasks: their wordings, and what each one's success is measured on.

MetaWorld decides success by one number per task: how far the handle, the button, the plate or the lever still is from
its goal, in metres (radians for the lever), along the axes that count, against a threshold. `Task` repeats that number
as data, read off each environment's `evaluate_state` (MetaWorld 3.x), so that progress needs no second definition of
"done" and can be recomputed with numpy from a stored object and goal. Tasks were picked for objects that are large in
the picture and travel far; each scene serves two tasks where it can, so that the scene does not name the task. `Place`
repeats where a task's object and goal are on the fixture that both share, so that one's pictures can be measured for
the other (`others`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

from rfm.errors import ConfigError

Vector = tuple[float, float, float]
"""x, y, z in metres."""


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
    axes: tuple[bool, bool, bool] = (True, True, True)
    """Which of x, y, z count."""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """What the environment adds to the observed object position before it measures, in metres."""
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


_X = (True, False, False)
_Y = (False, True, False)
_Z = (False, False, True)

_DOOR_HANDLE = (0.1907, -0.2072, 0.0)

_TASKS = (
    Task(
        "door-open",
        ("open the door", "pull the safe door open", "swing the door of the box open by its handle"),
        scene="door",
        threshold=0.08,
        axes=_X,
        pace=(0.25, 0.45),
        others=("door-close", "button-press", "drawer-close"),
        place=Place(site=_DOOR_HANDLE, goal=(-0.3, -0.45, 0.0), start=(0.4907, 0.2428, 0.0)),
    ),
    Task(
        "door-close",
        ("close the door", "push the safe door shut", "swing the door of the box closed"),
        scene="door",
        threshold=0.08,
        pace=(0.25, 0.45),
        others=("door-open", "drawer-open", "window-open"),
        place=Place(site=_DOOR_HANDLE, goal=(0.2, -0.2, 0.0), start=(-0.3891, -0.2908, 0.0)),
    ),
    Task(
        "drawer-open",
        ("open the drawer", "pull the green drawer open", "slide the drawer out by its handle"),
        scene="drawer",
        threshold=0.03,
        others=("drawer-close", "button-press-topdown", "handle-press"),
        place=Place(site=(0.0, -0.17, 0.09), goal=(0.0, -0.36, 0.09), start=(0.0, 0.19, 0.0)),
    ),
    Task(
        "drawer-close",
        ("close the drawer", "push the green drawer shut", "slide the drawer back in"),
        scene="drawer",
        threshold=0.065,
        others=("drawer-open", "button-press-topdown", "plate-slide"),
        place=Place(site=(0.0, -0.17, 0.14), goal=(0.0, -0.16, 0.09), start=(0.0, -0.1562, 0.05)),
    ),
    Task(
        "window-open",
        ("open the window", "slide the window open", "push the window to the right by its handle"),
        scene="window",
        threshold=0.05,
        axes=_X,
        others=("window-close", "drawer-open", "button-press"),
        place=Place(site=(-0.04, -0.095, 0.0), goal=(0.2, 0.0, 0.0), start=(-0.24, -0.095, 0.0)),
    ),
    Task(
        "window-close",
        ("close the window", "slide the window shut", "push the window to the left by its handle"),
        scene="window",
        threshold=0.05,
        axes=_X,
        others=("window-open", "drawer-open", "button-press-topdown"),
        place=Place(site=(0.01, -0.095, 0.0), start=(0.21, -0.095, 0.0)),
    ),
    Task(
        "button-press",
        ("press the button on the wall of the box", "push the red button in from the front", "press the front button"),
        scene="button",
        threshold=0.02,
        axes=_Y,
        others=("button-press-topdown", "drawer-open", "window-close"),
        absent_in=("button-press-topdown",),
    ),
    Task(
        "button-press-topdown",
        ("press the button from above", "push the red button down", "press the button on top of the box"),
        scene="button",
        threshold=0.024,
        axes=_Z,
        others=("button-press", "drawer-open", "window-open"),
        absent_in=("button-press",),
    ),
    Task(
        "handle-press",
        ("press the handle down", "push the red handle all the way down", "lower the handle of the machine"),
        scene="handle",
        threshold=0.02,
        axes=_Z,
        follow_through=(0, 3),
        others=("button-press", "drawer-open", "window-open"),
        place=Place(site=(0.0, -0.216, 0.172), goal=(0.0, -0.216, 0.075), start=(0.0, 0.0, 0.093)),
    ),
    Task(
        "faucet-open",
        ("open the faucet", "turn the faucet on", "swing the faucet handle to the right"),
        scene="faucet",
        threshold=0.07,
        offset=(-0.04, 0.0, 0.03),
        others=("faucet-close", "button-press-topdown", "drawer-open"),
        place=Place(site=(-0.015, -0.175, 0.114), goal=(0.175, 0.0, 0.125), start=(-0.23, -0.175, 0.019), turns=True),
    ),
    Task(
        "faucet-close",
        ("close the faucet", "turn the faucet off", "swing the faucet handle to the left"),
        scene="faucet",
        threshold=0.07,
        others=("faucet-open", "button-press-topdown", "drawer-open"),
        place=Place(site=(0.015, -0.175, 0.114), goal=(-0.175, 0.0, 0.125), start=(0.19, -0.175, -0.011), turns=True),
    ),
    Task(
        "lever-pull",
        ("pull the lever up", "lift the lever until it points upwards", "raise the lever with the blue knob"),
        scene="lever",
        threshold=pi / 24,
        joint="LeverAxis",
        goal_angle=pi / 2,
        pace=(0.25, 0.45),
        others=("button-press", "handle-press", "window-open"),
    ),
    Task(
        "plate-slide",
        ("slide the plate into the goal", "push the black puck into the net", "move the plate into the cabinet"),
        scene="plate",
        threshold=0.07,
        pace=(0.25, 0.45),
        others=("drawer-open", "button-press", "window-close"),
        place=Place(start=(0.3, 0.0, 0.015)),  # to the net where plate-slide-side has it
    ),
    Task(
        "plate-slide-side",
        (
            "slide the plate to the left into the goal",
            "push the puck sideways into the net",
            "move the plate into the cabinet on the left",
        ),
        scene="plate",
        threshold=0.07,
        pace=(0.25, 0.45),
        others=("plate-slide", "drawer-open", "window-open"),
        place=Place(goal=None, fixture=(-0.3, 0.6, 0.0)),
        unknown_in=("plate-slide",),
    ),
    Task(
        "handle-pull",
        ("pull the handle up", "lift the red handle of the machine", "raise the handle"),
        scene="handle",
        threshold=0.05,
        axes=_Z,
        pace=(0.8, 1.0),
        others=("handle-press", "button-press-topdown", "window-close"),
        place=Place(site=(0.05, -0.216, 0.164), goal=(0.0, -0.216, 0.172), start=(0.05, 0.0, -0.1082)),
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _TASKS}
"""All tasks of the bundle by name, in the order in which they are generated."""


def select_tasks(names: Sequence[str] | None) -> tuple[Task, ...]:
    """The named tasks in the given order, all of them for None. Raises ConfigError on unknown, repeated or no names."""
    if names is None:
        return _TASKS
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise ConfigError(f"`tasks` must be among {', '.join(TASKS)}, but holds {', '.join(unknown)}")
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"`tasks` must name each task once and at least one, but is {list(names)!r}")
    return tuple(TASKS[name] for name in names)
