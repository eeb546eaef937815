"""The simulated tasks: their wordings, and what each one's success is measured on.

MetaWorld decides success by one number per task: how far the handle, the button, the plate or the lever still is from
its goal, in metres (radians for the lever), along the axes that count, against a threshold. `Task` repeats that number
as data, read off each environment's `evaluate_state` (MetaWorld 3.x), so that progress needs no second definition of
"done" and can be recomputed with numpy from a stored object and goal. Tasks were picked for objects that are large in
the picture and travel far; each scene serves two opposite tasks where it can, so that the scene does not name the task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

from rfm.errors import ConfigError


@dataclass(frozen=True)
class Task:
    """One task: distance = norm of (object - goal) over `axes`, in the unit of `threshold`."""

    name: str
    """MetaWorld's environment name without its version; also the `task_id`."""
    wordings: tuple[str, ...]
    """Instructions that mean this task, at least two."""
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

    @property
    def env_name(self) -> str:
        """The environment's key in MetaWorld's tables."""
        return f"{self.name}-v3"


_X = (True, False, False)
_Y = (False, True, False)
_Z = (False, False, True)

_TASKS = (
    Task(
        "door-open",
        ("open the door", "pull the safe door open", "swing the door of the box open by its handle"),
        threshold=0.08,
        axes=_X,
        pace=(0.25, 0.45),
        others=("door-close", "button-press", "drawer-close"),
    ),
    Task(
        "door-close",
        ("close the door", "push the safe door shut", "swing the door of the box closed"),
        threshold=0.08,
        pace=(0.25, 0.45),
        others=("door-open", "drawer-open", "window-open"),
    ),
    Task(
        "drawer-open",
        ("open the drawer", "pull the green drawer open", "slide the drawer out by its handle"),
        threshold=0.03,
        others=("drawer-close", "button-press-topdown", "handle-press"),
    ),
    Task(
        "drawer-close",
        ("close the drawer", "push the green drawer shut", "slide the drawer back in"),
        threshold=0.065,
        others=("drawer-open", "button-press-topdown", "plate-slide"),
    ),
    Task(
        "window-open",
        ("open the window", "slide the window open", "push the window to the right by its handle"),
        threshold=0.05,
        axes=_X,
        others=("window-close", "drawer-open", "button-press"),
    ),
    Task(
        "window-close",
        ("close the window", "slide the window shut", "push the window to the left by its handle"),
        threshold=0.05,
        axes=_X,
        others=("window-open", "drawer-open", "button-press-topdown"),
    ),
    Task(
        "button-press",
        ("press the button on the wall of the box", "push the red button in from the front", "press the front button"),
        threshold=0.02,
        axes=_Y,
        others=("button-press-topdown", "drawer-open", "window-close"),
    ),
    Task(
        "button-press-topdown",
        ("press the button from above", "push the red button down", "press the button on top of the box"),
        threshold=0.024,
        axes=_Z,
        others=("button-press", "drawer-open", "window-open"),
    ),
    Task(
        "handle-press",
        ("press the handle down", "push the red handle all the way down", "lower the handle of the machine"),
        threshold=0.02,
        axes=_Z,
        follow_through=(0, 3),
        others=("button-press", "drawer-open", "window-open"),
    ),
    Task(
        "faucet-open",
        ("open the faucet", "turn the faucet on", "swing the faucet handle to the right"),
        threshold=0.07,
        offset=(-0.04, 0.0, 0.03),
        others=("faucet-close", "button-press-topdown", "drawer-open"),
    ),
    Task(
        "faucet-close",
        ("close the faucet", "turn the faucet off", "swing the faucet handle to the left"),
        threshold=0.07,
        others=("faucet-open", "button-press-topdown", "drawer-open"),
    ),
    Task(
        "lever-pull",
        ("pull the lever up", "lift the lever until it points upwards", "raise the lever with the blue knob"),
        threshold=pi / 24,
        joint="LeverAxis",
        goal_angle=pi / 2,
        pace=(0.25, 0.45),
        others=("button-press", "handle-press", "window-open"),
    ),
    Task(
        "plate-slide",
        ("slide the plate into the goal", "push the black puck into the net", "move the plate into the cabinet"),
        threshold=0.07,
        pace=(0.25, 0.45),
        others=("drawer-open", "button-press", "window-close"),
    ),
    Task(
        "plate-slide-side",
        (
            "slide the plate to the left into the goal",
            "push the puck sideways into the net",
            "move the plate into the cabinet on the left",
        ),
        threshold=0.07,
        pace=(0.25, 0.45),
        others=("plate-slide", "drawer-open", "window-open"),
    ),
    Task(
        "handle-pull",
        ("pull the handle up", "lift the red handle of the machine", "raise the handle"),
        threshold=0.05,
        axes=_Z,
        pace=(0.8, 1.0),
        others=("handle-press", "button-press-topdown", "window-close"),
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
