"""A MetaWorld task as a Gymnasium environment: states for the policy, camera frames for a reward model.

The robot, its reset and its rest are those of the simulated datasets (`rfm.ingest.metaworld.engine`), so that a reward
model that learned from these sees what it knows. An action is held for `REPEAT` simulator steps; an episode is
`HORIZON` actions long and never ends early, whatever the reward. Nothing is drawn unless `render()` is called.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import gymnasium
import numpy as np
from jaxtyping import Float64, UInt8

from rfm.errors import ConfigError
from rfm.ingest.metaworld.engine import begin, build, goal_of, object_of, success_of
from rfm.ingest.metaworld.labels import distance, rounded_progress
from rfm.ingest.metaworld.render import draw
from rfm.ingest.metaworld.tasks import select_tasks

Pay = Literal["dense", "sparse", "none"]
"""What the environment pays by itself."""
HORIZON = 40
REPEAT = 5
_CAMERA, _SIZE = "right", 96
_MOST_DENSE = 10.0
"""MetaWorld's dense reward of a state lies between 0 and this."""


class Arm(gymnasium.Env[Float64[np.ndarray, "39"], Any]):
    """One task; every reset draws another place for the object and the goal.

    `dense` pays MetaWorld's own reward, over 10, of an action's simulator steps on average; `sparse` 1 where the state
    after it is a success, `none` nothing: each lies in [0, 1], as a reward model's progress does. `info` says of that
    state whether it is a success (`success`, MetaWorld's verdict) and how much of the way is done (`done`, in [0, 1],
    the label of the simulated datasets).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 80 // REPEAT}  # noqa: RUF012

    def __init__(self, task: str, pay: Pay = "none", *, horizon: int = HORIZON) -> None:
        if pay not in get_args(Pay):
            raise ConfigError(f"`pay` must be one of {', '.join(get_args(Pay))}, but is {pay!r}")
        (self.task,) = select_tasks([task])
        self.words = self.task.wordings[0]
        """The task for a reward model."""
        self.pay, self.horizon, self.render_mode = pay, horizon, "rgb_array"
        self._arm = build(self.task.env_name)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (39,), np.float64)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
        self._at, self._start = 0, 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float64[np.ndarray, "39"], dict[str, Any]]:
        """Begin an episode, the first one after a seed always the same."""
        super().reset(seed=seed)
        begin(self._arm, int(self.np_random.integers(2**32)))
        self._at, self._start = 0, self._distance()
        return self._observed(), self._truth()

    def step(self, action: Any) -> tuple[Float64[np.ndarray, "39"], float, bool, bool, dict[str, Any]]:
        """Hold an action for `REPEAT` simulator steps."""
        held = np.clip(action, -1.0, 1.0).astype(np.float32)
        dense = [self._arm.step(held)[1] for _ in range(REPEAT)]
        self._at += 1
        truth = self._truth()
        paid = {"dense": float(np.mean(dense)) / _MOST_DENSE, "sparse": float(truth["success"]), "none": 0.0}[self.pay]
        return self._observed(), paid, False, self._at >= self.horizon, truth

    def render(self) -> UInt8[np.ndarray, "h w 3"]:
        """Draw the present state."""
        return draw(self._arm, _CAMERA, _SIZE)

    def _distance(self) -> float:
        return float(distance(object_of(self.task, self._arm), goal_of(self.task, self._arm), np.array(self.task.axes)))

    def _truth(self) -> dict[str, Any]:
        success = success_of(self._arm)
        done = rounded_progress(np.array([self._distance()]), self._start, self.task.threshold, np.array([success]))
        return {"success": success, "done": float(done[0])}

    def _observed(self) -> Float64[np.ndarray, "39"]:
        return np.array(self._arm._get_obs(), np.float64)
