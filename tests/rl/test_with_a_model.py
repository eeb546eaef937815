"""The wrappers with a real model: the numbers are those of `RewardModel.progress`."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from rl.moving_dot import WIDTH, MovingDot
from scored_clips import random_model

from rfm.rl import RewardWrapper, VectorRewardWrapper


class SeenDot(MovingDot):
    """The dot on noise that differs from step to step, 40 x 48."""

    observation_space = gymnasium.spaces.Dict(
        {"view": gymnasium.spaces.Box(0, 255, (40, 48, 3), np.uint8), "at": gymnasium.spaces.Discrete(WIDTH)}
    )

    def _picture(self):
        rng = np.random.default_rng(self.at)
        return rng.integers(0, 256, (40, 48, 3)).astype(np.uint8)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_wrapped_values_are_the_models_own(asynchronous):
    model = random_model(max_frames=4)
    env = RewardWrapper(SeenDot(), model, "push it", every=2, mode="absolute", asynchronous=asynchronous)
    env.reset()
    rewards = [env.step(np.int64(1))[1] for _ in range(7)]
    bare = SeenDot()
    bare.reset()
    frames = [bare.render()] + [bare.step(1) and bare.render() for _ in range(7)]
    shown = [frames[at] for at in (0, 2, 4, 6, 7)]
    values = [model.progress(np.stack(shown[: count + 1]), "push it").expected for count in range(5)]
    assert len(set(values)) == 5
    assert rewards[-1] == pytest.approx(values[-1], abs=1e-6)
    if not asynchronous:
        held = [values[0], values[1], values[1], values[2], values[2], values[3], values[4]]
        assert rewards == pytest.approx(held, abs=1e-6)
    env.close()


def test_spaces_around_a_task_are_no_part_of_it():
    model = random_model(max_frames=4)
    first = {task: RewardWrapper(SeenDot(), model, task).reset()[1]["progress"] for task in ("push it", " push it\n")}
    assert first["push it"] == pytest.approx(first[" push it\n"], abs=1e-7)
    assert first["push it"] != RewardWrapper(SeenDot(), model, "push  it").reset()[1]["progress"]


def test_a_batch_of_environments_gets_the_values_of_each_alone():
    model = random_model(max_frames=4)
    tasks = ["push it", "pull it"]
    rules = {"every": 2, "mode": "absolute"}
    both = VectorRewardWrapper(SyncVectorEnv([SeenDot, lambda: SeenDot(5)]), model, tasks, **rules)
    alone = [RewardWrapper(SeenDot(start), model, task, **rules) for start, task in zip((3, 5), tasks, strict=True)]
    for env in (both, *alone):
        env.reset()
    for _ in range(4):
        rewards = both.step(np.ones(2, np.int64))[1]
        assert rewards.tolist() == pytest.approx([env.step(np.int64(1))[1] for env in alone], abs=1e-6)
