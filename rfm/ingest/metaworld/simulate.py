"""Run one policy variant in one environment: a pure function of task, aimed quality and seed.

Simulates first (0.4 ms a step) and renders nothing; `render` later draws only the shown states.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32

from rfm.ingest.metaworld.cameras import BUNDLED
from rfm.ingest.metaworld.engine import Env, expert_action, goal_of, make_env, make_expert, object_of, success_of
from rfm.ingest.metaworld.labels import Quality, distance, progress_labels, quality_label, share_done
from rfm.ingest.metaworld.others import progress_by_task
from rfm.ingest.metaworld.policies import Action, Stage, View, stages
from rfm.ingest.metaworld.task import Task

MAX_STEPS = 390
"""Longest episode in simulator steps; MetaWorld refuses more than 500, settling and head start included."""
MAX_HEAD_START = 60
"""Most steps that the arm is brought nearer to the object before the first frame, so that approaches differ."""
UNTOUCHED = 0.002
"""Motion of the object, in metres or radians, below which it counts as untouched."""


@dataclass(frozen=True)
class Episode:
    """The shown states of one episode. Arrays are float32, as stored, and the labels are computed from these."""

    task: Task
    seed: int
    variant: str
    finished: bool
    """Whether the policy came to its end before `MAX_STEPS`."""
    steps: Int32[np.ndarray, "t"]
    """Simulator step of each shown frame."""
    qpos: Float32[np.ndarray, "t q"]
    mocap_pos: Float32[np.ndarray, "t 3"]
    object_pos: Float32[np.ndarray, "t 3"]
    goal: Float32[np.ndarray, "3"]
    success: Bool[np.ndarray, "t"]
    """MetaWorld's `info["success"]` at each shown frame."""

    @property
    def progress(self) -> Float[np.ndarray, "t"]:
        """Progress labels; see `labels.progress_labels`."""
        axes = np.array(self.task.axes)
        return progress_labels(self.object_pos, self.goal, axes, self.task.threshold, self.success)

    @property
    def progress_by_task(self) -> dict[str, Float[np.ndarray, "t"]]:
        """Progress labels for other tasks of the scene; see `others.progress_by_task`."""
        return progress_by_task(self.task, self.object_pos, self.goal)

    @property
    def quality(self) -> Quality:
        """Quality by the last shown frame."""
        return quality_label(bool(self.success[-1]), float(self.progress[-1]))

    @property
    def overshot(self) -> bool:
        """Whether the object went past the goal and out of success again: MetaWorld then counts backwards."""
        axes = np.array(self.task.axes)
        first, last = np.where(axes, self.object_pos[[0, -1]].astype(np.float64) - self.goal, 0.0)
        return bool(first @ last < 0 and not self.success[-1])


@dataclass(frozen=True)
class Steps:
    """What the policy of an episode saw and did, at every simulator step."""

    observations: Float64[np.ndarray, "n 39"]
    """MetaWorld's state before each step."""
    actions: Float32[np.ndarray, "n 4"]
    """What the simulator was given: shifts of the arm's target over 1 cm, and the gripper, in [-1, 1]."""


@dataclass(frozen=True)
class _State:
    qpos: Float[np.ndarray, "q"]
    mocap_pos: Float[np.ndarray, "3"]
    object_pos: Float[np.ndarray, "3"]
    success: bool


class _Run:
    """An environment with its record: one `_State` per step, the reset's first."""

    def __init__(self, task: Task, seed: int, head_start: int) -> None:
        self.env: Env = make_env(task, seed)
        self.task, self.goal = task, goal_of(task, self.env)
        _approach(task, self.env, head_start)
        self.observation = self.env._get_obs()
        self.trail: list[Float[np.ndarray, "3"]] = []
        self.states: list[_State] = []
        self.done: list[tuple[Float[np.ndarray, "39"], Float32[np.ndarray, "4"]]] = []
        """Observation and action of every step."""
        self._record(success_of(self.env))
        self._start = self._distance()

    def _distance(self) -> float:
        return float(distance(self.states[-1].object_pos, self.goal, np.array(self.task.axes)))

    def _record(self, success: bool) -> None:
        data = self.env.data
        self.trail.append(data.body("hand").xpos.copy())
        state = _State(data.qpos.copy(), data.mocap_pos[0].copy(), object_of(self.task, self.env), success)
        self.states.append(state)

    def view(self) -> View:
        """The present as the policy sees it."""
        state = self.states[-1]
        progress = float(share_done(self._distance(), self._start, self.task.threshold))
        return View(
            self.observation, self.trail[-1], state.mocap_pos, progress, state.success, len(self.states) - 1, self.trail
        )

    def step(self, action: Action) -> None:
        """One simulator step of 12.5 ms."""
        clipped = np.clip(action, -1.0, 1.0).astype(np.float32)
        self.done.append((self.observation, clipped))
        self.observation, _, _, _, info = self.env.step(clipped)
        self._record(bool(info["success"]))

    def follow(self, stage: Stage) -> bool:
        """Run a stage to its end; False where `MAX_STEPS` came first."""
        ran = 0
        while not stage.done(view := self.view(), ran):
            if view.step >= MAX_STEPS:
                return False
            self.step(stage.act(view))
            ran += 1
        return True


def _approach(task: Task, env: Env, steps: int) -> None:
    """Let the expert come nearer, unrecorded, for at most `steps` steps and no longer than the object stays put."""
    expert, axes = make_expert(task.name), np.array(task.axes)
    rest = object_of(task, env)
    for _ in range(steps):
        if distance(object_of(task, env), rest, axes) > UNTOUCHED:
            return
        env.step(expert_action(expert, env._get_obs()).astype(np.float32))


def shown_steps(num_steps: int, num_frames: int = BUNDLED.num_frames) -> Int32[np.ndarray, "t"]:
    """`num_frames` evenly spaced indices into `num_steps` states, first and last included."""
    return np.round(np.linspace(0, num_steps - 1, num_frames)).astype(np.int32)


def simulate(task: Task, aim: Quality, variant: str, seed: int, num_frames: int = BUNDLED.num_frames) -> Episode:
    """One episode of `VARIANTS[aim][variant]` in `num_frames` states; the same arguments give the same arrays."""
    run, finished = _tried(task, aim, variant, seed)
    return _shown(run, seed, variant, finished, num_frames)


def demonstrated(task: Task, aim: Quality, variant: str, seed: int) -> Steps:
    """What `simulate` does not show of the same episode: every observation and action, for who learns to act."""
    observations, actions = zip(*_tried(task, aim, variant, seed)[0].done, strict=True)
    return Steps(np.array(observations, np.float64), np.array(actions, np.float32))


def _tried(task: Task, aim: Quality, variant: str, seed: int) -> tuple[_Run, bool]:
    """Return the run of a variant, and whether it came to its end."""
    rng = np.random.default_rng(seed)
    run = _Run(task, seed, head_start=int(rng.integers(MAX_HEAD_START + 1)))
    return run, all(run.follow(stage) for stage in stages(aim, variant, task, rng))


def _shown(run: _Run, seed: int, variant: str, finished: bool, num_frames: int) -> Episode:
    steps = shown_steps(len(run.states), num_frames)
    shown = [run.states[step] for step in steps]
    return Episode(
        task=run.task,
        seed=seed,
        variant=variant,
        finished=finished,
        steps=steps,
        qpos=np.array([state.qpos for state in shown], np.float32),
        mocap_pos=np.array([state.mocap_pos for state in shown], np.float32),
        object_pos=np.array([state.object_pos for state in shown], np.float32),
        goal=run.goal.astype(np.float32),
        success=np.array([state.success for state in shown]),
    )
