"""A small environment to see, and a judge that reads its picture: how far a dot has come from left to right."""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from rfm.scoring.records import Progress

WIDTH = 11
ANSWERS = np.arange(WIDTH) / (WIDTH - 1)


class MovingDot(gymnasium.Env):
    """A dot that actions move by -1, 0 or 1 of ten steps; terminates at the right end. Paid 5 a step by itself."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Dict(
        {"view": gymnasium.spaces.Box(0, 255, (8, WIDTH, 3), np.uint8), "at": gymnasium.spaces.Discrete(WIDTH)}
    )
    action_space = gymnasium.spaces.Discrete(3, start=-1)
    spec = EnvSpec("MovingDot-v0", entry_point="rl.moving_dot:MovingDot", kwargs={"render_mode": "rgb_array"})

    def __init__(self, start=3, render_mode="rgb_array"):
        self.render_mode, self._start, self.drawn = render_mode, start, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self._start
        return self._seen(), {}

    def step(self, action):
        self.at = int(np.clip(self.at + action, 0, WIDTH - 1))
        return self._seen(), 5.0, self.at == WIDTH - 1, False, {}

    def render(self):
        self.drawn += 1
        return self._picture()

    def _seen(self):
        return {"view": self._picture(), "at": np.int64(self.at)}

    def _picture(self):
        picture = np.zeros((8, WIDTH, 3), np.uint8)
        picture[:, self.at] = 255
        return picture


class ReadsTheDot:
    """Scores a clip by where the dot is in its last frame; counts calls, and can be told to fail."""

    def __init__(self):
        self.calls, self.fault, self.says = [], None, None

    def progress(self, frames, *, tasks):
        self.calls.append([len(clip) for clip in frames])
        if self.fault is not None:
            raise self.fault
        return [self._score(clip, task) for clip, task in zip(frames, tasks, strict=True)]

    def _score(self, clip, task):
        at = int(clip[-1][0, :, 0].argmax())
        expected = ANSWERS[at] if self.says is None else self.says
        sure = np.eye(WIDTH)[at]
        return Progress(task, expected, expected, False, len(clip) - 1, (len(clip) - 1,), ANSWERS, sure, 0.0)
