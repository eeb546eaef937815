"""What the robot tries: variants of scripted experts, good and bad, as a few stages each.

A variant is only an attempt at a quality; the label comes from where the simulator ends (`labels`). Every variant,
whatever its quality, ends in the same kind of hold, approaches at similar speed and slows down once the object moves,
so that frozen ends, length and pace do not tell the quality. Speeds, targets and noise are drawn from the episode's own
generator.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rfm.ingest.metaworld.engine import expert_action, make_expert
from rfm.ingest.metaworld.labels import Quality
from rfm.ingest.metaworld.task import Task
from rfm.ingest.metaworld.tasks import TASKS

Vec3 = Float[np.ndarray, "3"]
Action = Float[np.ndarray, "4"]

METRES_PER_ACTION = 0.01
"""How far an action of 1 moves the arm's target in one simulator step (MetaWorld's `action_scale`)."""
OPEN, SHUT = -1.0, 1.0
"""Gripper commands."""
TOUCHED = 0.02
"""Progress from which the object counts as moving."""


@dataclass(frozen=True)
class View:
    """What a policy sees at one simulator step."""

    observation: Float[np.ndarray, "39"]
    hand: Vec3
    """Position of the hand in metres."""
    target: Vec3
    """Position that the arm is being pulled to, in metres; leads the hand while it moves."""
    progress: float
    success: bool
    step: int
    trail: list[Vec3]
    """Hand positions of all steps so far."""


Act = Callable[[View], Action]
Done = Callable[[View, int], bool]
"""Whether a stage is over, given the view and the number of steps it has run."""


@dataclass(frozen=True)
class Stage:
    """A policy and when it ends."""

    act: Act
    done: Done


Variant = Callable[[Task, np.random.Generator], list[Stage]]


def _expert(task: Task, rng: np.random.Generator, noise: float = 0.0, care: float = 1.0) -> Act:
    """The expert of `task`, slowed once the object moves, with smooth noise of `noise` action units.

    `care` < 1 slows it further: what is to stop half way must not coast on.
    """
    expert = make_expert(task.name)
    before, after = rng.uniform(0.7, 1.0), care * rng.uniform(*task.pace)
    drift = np.zeros(3)

    def act(view: View) -> Action:
        nonlocal drift
        drift = 0.8 * drift + noise * rng.normal(size=3)
        action = expert_action(expert, view.observation)
        action[:3] = action[:3] * (after if view.progress > TOUCHED else before) + drift
        return action

    return act


def _mirrored(task: Task, rng: np.random.Generator) -> Act:
    """The expert with its horizontal motion reversed."""
    expert, speed = make_expert(task.name), rng.uniform(0.3, 0.6)

    def act(view: View) -> Action:
        return np.asarray(expert_action(expert, view.observation) * np.array([-speed, -speed, speed, 1.0]))

    return act


def _wander(rng: np.random.Generator) -> Act:
    """Slow walk between random points above the table."""
    speed, point = rng.uniform(0.3, 0.6), np.zeros(3)

    def act(view: View) -> Action:
        nonlocal point
        if view.step % 30 == 0 or not point.any():
            point = rng.uniform([-0.3, 0.45, 0.12], [0.3, 0.75, 0.4])
        return _towards(point, view.hand, speed)

    return act


def _towards(point: Vec3, hand: Vec3, speed: float, gripper: float = OPEN) -> Action:
    """Move the hand to `point`, at most `speed` action units per step."""
    offset = 10.0 * (point - hand)
    return np.append(offset * speed / max(1.0, float(np.linalg.norm(offset))), gripper)


def _retrace(rng: np.random.Generator) -> Act:
    """Back along the hand's own trail, which takes a held or hooked object along."""
    pace, start = int(rng.integers(1, 3)), -1

    def act(view: View) -> Action:
        nonlocal start
        start = view.step if start < 0 else start
        back = max(0, start - 1 - pace * (view.step - start + 4))
        return np.append(np.clip((view.trail[back] - view.target) / METRES_PER_ACTION, -0.6, 0.6), SHUT)

    return act


def _leave(rng: np.random.Generator) -> Act:
    """Up and back towards the robot, off the object."""
    speed, away = rng.uniform(0.5, 0.9), rng.uniform([-0.1, -0.25, 0.1], [0.1, -0.1, 0.25])
    point: Vec3 | None = None

    def act(view: View) -> Action:
        nonlocal point
        point = view.hand + away if point is None else point
        return _towards(point, view.hand, speed)

    return act


def _brake() -> Act:
    """Stand still where the hand is."""
    spot: Vec3 | None = None

    def act(view: View) -> Action:
        nonlocal spot
        spot = view.hand if spot is None else spot
        return np.append(np.clip((spot - view.target) / METRES_PER_ACTION, -1.0, 1.0), SHUT)

    return act


def _press() -> Act:
    """Keep up the present force: springs of buttons and handles would push a braking hand back."""
    return lambda view: np.array([0.0, 0.0, 0.0, SHUT])


def _steps(count: int) -> Done:
    return lambda view, ran: ran >= count


def _reaches(progress: float) -> Done:
    return lambda view, ran: view.progress >= progress


def _falls_to(progress: float, at_most: int) -> Done:
    return lambda view, ran: view.progress <= progress or ran >= at_most


def _succeeds(margin: int) -> Done:
    """Over `margin` steps after the first success, so that successes are plainly done, not just over the line."""
    first = -1

    def done(view: View, ran: int) -> bool:
        nonlocal first
        first = ran if view.success and first < 0 else first
        return 0 <= first <= ran - margin

    return done


def _hold(rng: np.random.Generator, aim: Quality) -> Stage:
    """The still end that every episode has: 6% to 14% of what went before, at least 6 steps."""
    share = rng.uniform(0.06, 0.14)
    act = _press() if aim == "successful" else _brake()
    return Stage(act, lambda view, ran: ran >= max(6.0, share * (view.step - ran)))


def _solve(task: Task, rng: np.random.Generator, noise: float = 0.0) -> Stage:
    return Stage(_expert(task, rng, noise), _succeeds(int(rng.integers(*task.follow_through))))


def _advance(task: Task, rng: np.random.Generator, low: float, high: float, noise: float = 0.0) -> Stage:
    return Stage(_expert(task, rng, noise, care=0.6), _reaches(rng.uniform(low, high)))


def _undo(rng: np.random.Generator, low: float, high: float) -> Stage:
    return Stage(_retrace(rng), _falls_to(rng.uniform(low, high), int(rng.integers(40, 80))))


def _go_away(rng: np.random.Generator) -> Stage:
    return Stage(_leave(rng), _steps(int(rng.integers(12, 28))))


def _pause(rng: np.random.Generator) -> Stage:
    return Stage(_brake(), _steps(int(rng.integers(8, 24))))


def _foreign(task: Task, rng: np.random.Generator) -> Stage:
    other = str(rng.choice(np.array(task.others)))
    return Stage(_expert(TASKS[other], rng), _steps(int(rng.integers(70, 150))))


VARIANTS: dict[Quality, dict[str, Variant]] = {
    "successful": {
        "expert": lambda task, rng: [_solve(task, rng)],
        "noisy_expert": lambda task, rng: [_solve(task, rng, rng.uniform(0.1, 0.3))],
        "pausing_expert": lambda task, rng: [_advance(task, rng, 0.15, 0.8), _pause(rng), _solve(task, rng)],
        "recovering_expert": lambda task, rng: [
            _advance(task, rng, 0.3, 0.85),
            _undo(rng, 0.0, 0.5),
            _solve(task, rng),
        ],
        "straying_expert": lambda task, rng: [Stage(_wander(rng), _steps(40)), _solve(task, rng)],
        "leaving_expert": lambda task, rng: [_solve(task, rng), _go_away(rng)],
    },
    "suboptimal": {
        "stopping_expert": lambda task, rng: [_advance(task, rng, 0.1, 0.75)],
        "noisy_stopping_expert": lambda task, rng: [_advance(task, rng, 0.1, 0.75, rng.uniform(0.1, 0.3))],
        "pausing_stopping_expert": lambda task, rng: [
            _advance(task, rng, 0.1, 0.4),
            _pause(rng),
            _advance(task, rng, 0.45, 0.78),
        ],
        "undoing_expert": lambda task, rng: [_advance(task, rng, 0.45, 0.9), _undo(rng, 0.3, 0.6)],
        "stopping_leaving_expert": lambda task, rng: [_advance(task, rng, 0.1, 0.75), _go_away(rng)],
    },
    "failure": {
        "idle": lambda task, rng: [Stage(_brake(), _steps(int(rng.integers(40, 90))))],
        "undone_expert": lambda task, rng: [_advance(task, rng, 0.3, 0.8), _undo(rng, 0.0, 0.15)],
        "releasing_expert": lambda task, rng: [_advance(task, rng, 0.4, 0.9), _go_away(rng)],
        "early_stopping_expert": lambda task, rng: [_advance(task, rng, 0.01, 0.15)],
        "wandering": lambda task, rng: [Stage(_wander(rng), _steps(int(rng.integers(70, 150))))],
        "foreign_expert": lambda task, rng: [_foreign(task, rng)],
        "mirrored_expert": lambda task, rng: [Stage(_mirrored(task, rng), _steps(int(rng.integers(60, 120))))],
        "reaching_expert": lambda task, rng: [Stage(_expert(task, rng), _steps(int(rng.integers(15, 60))))],
    },
}
"""Policy variants by the quality they aim for; the manifest's `policy` is one of these names."""


def planned_variant(aim: Quality, turn: int) -> str:
    """Name of the variant for a turn: all that aim for `aim`, one after the other."""
    names = list(VARIANTS[aim])
    return names[turn % len(names)]


def stages(aim: Quality, variant: str, task: Task, rng: np.random.Generator) -> list[Stage]:
    """The stages of a variant of `VARIANTS[aim]`, with the closing hold."""
    return [*VARIANTS[aim][variant](task, rng), _hold(rng, aim)]
