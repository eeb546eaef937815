"""The tasks of the bundled videos, and all tasks by name.

Picked for objects that are large in the picture and travel far; each scene serves two tasks where it can, so that the
scene does not name the task.
"""

from collections.abc import Sequence
from math import pi

from rfm.errors import ConfigError
from rfm.ingest.metaworld.further_tasks import FURTHER
from rfm.ingest.metaworld.task import Place, Task, X, Y, Z

_DOOR_HANDLE = (0.1907, -0.2072, 0.0)

_TASKS = (
    Task(
        "door-open",
        ("open the door", "pull the safe door open", "swing the door of the box open by its handle"),
        scene="door",
        threshold=0.08,
        axes=X,
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
        axes=X,
        others=("window-close", "drawer-open", "button-press"),
        place=Place(site=(-0.04, -0.095, 0.0), goal=(0.2, 0.0, 0.0), start=(-0.24, -0.095, 0.0)),
    ),
    Task(
        "window-close",
        ("close the window", "slide the window shut", "push the window to the left by its handle"),
        scene="window",
        threshold=0.05,
        axes=X,
        others=("window-open", "drawer-open", "button-press-topdown"),
        place=Place(site=(0.01, -0.095, 0.0), start=(0.21, -0.095, 0.0)),
    ),
    Task(
        "button-press",
        ("press the button on the wall of the box", "push the red button in from the front", "press the front button"),
        scene="button",
        threshold=0.02,
        axes=Y,
        others=("button-press-topdown", "drawer-open", "window-close"),
        absent_in=("button-press-topdown", "button-press-topdown-wall"),
    ),
    Task(
        "button-press-topdown",
        ("press the button from above", "push the red button down", "press the button on top of the box"),
        scene="button",
        threshold=0.024,
        axes=Z,
        others=("button-press", "drawer-open", "window-open"),
        absent_in=("button-press", "button-press-wall"),
    ),
    Task(
        "handle-press",
        ("press the handle down", "push the red handle all the way down", "lower the handle of the machine"),
        scene="handle",
        threshold=0.02,
        axes=Z,
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
        axes=Z,
        pace=(0.8, 1.0),
        others=("handle-press", "button-press-topdown", "window-close"),
        place=Place(site=(0.05, -0.216, 0.164), goal=(0.0, -0.216, 0.172), start=(0.05, 0.0, -0.1082)),
    ),
)

BUNDLED: dict[str, Task] = {task.name: task for task in _TASKS}
"""The tasks of the bundled videos by name, in the order in which they are generated."""
TASKS: dict[str, Task] = {**BUNDLED, **{task.name: task for task in FURTHER}}
"""All tasks by name."""


def select_tasks(names: Sequence[str] | None) -> tuple[Task, ...]:
    """The named tasks in the given order, those of the bundle for None, all for the one name `all`.

    Raises ConfigError on unknown, repeated or no names.
    """
    if names is None:
        return _TASKS
    if list(names) == ["all"]:
        return tuple(TASKS.values())
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise ConfigError(f"`tasks` must be `all` or among {', '.join(TASKS)}, but holds {', '.join(unknown)}")
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"`tasks` must name each task once and at least one, but is {list(names)!r}")
    return tuple(TASKS[name] for name in names)
