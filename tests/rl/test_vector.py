"""Several environments in one, each way of starting episodes anew: the rewards are those worked out by hand."""

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from rl.moving_dot import MovingDot, ReadsTheDot

from rfm.errors import ConfigError, DataError
from rfm.rl import RewardWrapper, VectorRewardWrapper

STARTS = (8, 3, 6)


def several(autoreset, model=None, camera="view", kind=SyncVectorEnv, limit=6, **rules):
    makers = [lambda start=start: TimeLimit(MovingDot(start), limit) for start in STARTS]
    envs = kind(makers, autoreset_mode=autoreset)
    return VectorRewardWrapper(envs, model or ReadsTheDot(), "reach the end", camera, **{"every": 2, **rules})


def ones(count=3):
    return np.ones(count, np.int64)


def test_an_episode_that_ends_as_a_scoring_fails_is_not_gone_on_with():
    model = ReadsTheDot()
    envs = several(AutoresetMode.NEXT_STEP, model)
    envs.reset(seed=0)
    envs.step(ones())
    model.fault = ConnectionError("the server is gone")
    with pytest.raises(ConnectionError):
        envs.step(ones())  # the first one has come to its end
    model.fault = None
    rewards = [envs.step(ones())[1][0] for _ in range(3)]
    assert rewards == pytest.approx([0.0, 0.0, 0.2]), "it begins anew, and is paid as an episode of its own"


def test_one_that_began_in_the_step_whose_scoring_failed_is_unknown_until_a_reset():
    model = ReadsTheDot()
    envs = several(AutoresetMode.SAME_STEP, model)
    envs.reset(seed=0)
    envs.step(ones())
    model.fault = ConnectionError("the server is gone")
    with pytest.raises(ConnectionError):
        envs.step(ones())
    model.fault = None
    with pytest.raises(DataError, match="an episode must begin by `reset`, whose state is scored, but did not"):
        envs.step(ones())
    envs.reset(seed=0)
    assert envs.step(ones())[1].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("camera", [None, "view", lambda seen: seen["view"]])
def test_next_step_pays_nothing_for_the_step_that_resets(camera):
    envs = several(AutoresetMode.NEXT_STEP, camera=camera)
    _, infos = envs.reset(seed=0)
    assert infos["progress"].tolist() == pytest.approx([0.8, 0.3, 0.6])
    rewards, ends = [], []
    for _ in range(6):
        _, reward, terminated, truncated, infos = envs.step(ones())
        rewards.append(reward.tolist())
        ends.append((terminated | truncated).tolist())
    assert np.array(ends).T.tolist() == [
        [False, True, False, False, True, False],
        [False, False, False, False, False, True],
        [False, False, False, True, False, False],
    ]
    np.testing.assert_allclose(
        np.array(rewards).T,
        [
            [0.0, 0.2, 0.0, 0.0, 0.2, 0.0],
            [0.0, 0.2, 0.0, 0.2, 0.0, 0.2],
            [0.0, 0.2, 0.0, 0.2, 0.0, 0.0],
        ],
        atol=1e-12,
    )
    assert infos["_total_reward"].tolist() == [False, True, True]
    assert infos["progress"][1:].tolist() == pytest.approx([0.9, 0.6])


def test_same_step_pays_the_last_state_and_begins_with_the_new_first_one():
    envs = several(AutoresetMode.SAME_STEP)
    envs.reset(seed=0)
    rewards = []
    for _ in range(6):
        _, reward, *_, infos = envs.step(ones())
        rewards.append(reward.tolist())
    np.testing.assert_allclose(
        np.array(rewards).T,
        [
            [0.0, 0.2, 0.0, 0.2, 0.0, 0.2],
            [0.0, 0.2, 0.0, 0.2, 0.0, 0.2],
            [0.0, 0.2, 0.0, 0.2, 0.0, 0.2],
        ],
        atol=1e-12,
    )
    assert infos["progress"].tolist() == pytest.approx([1.0, 0.9, 0.8])


def test_disabled_begins_what_the_mask_names():
    envs = several(AutoresetMode.DISABLED, success_threshold=0.8, success_steps=1, every=1)
    envs.reset(seed=0)
    _, rewards, terminated, _, _ = envs.step(ones())
    assert rewards.tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert terminated.tolist() == [True, False, False]
    _, infos = envs.reset(options={"reset_mask": terminated})
    assert infos["_progress"].tolist() == [True, False, False]
    assert infos["progress"][0] == pytest.approx(0.8)
    _, rewards, _, _, infos = envs.step(np.array([-1, 1, 1]))
    assert rewards.tolist() == pytest.approx([-0.1, 0.1, 0.1])
    assert infos["step_in_episode"].tolist() == [1, 2, 2]


@pytest.mark.parametrize("mode", ["potential", "delta", "absolute", "terminal"])
@pytest.mark.parametrize("autoreset", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_each_is_paid_as_it_would_be_alone(mode, autoreset):
    rng = np.random.default_rng(0)
    rules = {"mode": mode, "gamma": 0.9, "every": 3, "keep_env_reward": True}
    envs = several(autoreset, **rules)
    alone = [
        RewardWrapper(TimeLimit(MovingDot(start), 6), ReadsTheDot(), "reach the end", "view", **rules)
        for start in STARTS
    ]
    for env in (envs, *alone):
        env.reset(seed=0)
    over = [False] * 3
    for _ in range(40):
        actions = rng.integers(-1, 2, 3)
        _, rewards, terminated, truncated, _ = envs.step(actions)
        for place, env in enumerate(alone):
            if over[place] and autoreset is AutoresetMode.NEXT_STEP:
                env.reset()
                assert rewards[place] == 0
                over[place] = False
                continue
            _, reward, ended, cut, _ = env.step(actions[place])
            assert rewards[place] == pytest.approx(reward)
            assert (terminated[place], truncated[place]) == (ended, cut)
            over[place] = ended or cut
            if over[place] and autoreset is AutoresetMode.SAME_STEP:
                env.reset()


def test_all_that_are_due_are_asked_about_in_one_call():
    model = ReadsTheDot()
    envs = several(AutoresetMode.NEXT_STEP, model, every=3)
    envs.reset(seed=0)
    for _ in range(3):
        envs.step(ones())
    assert model.calls == [[1, 1, 1], [2], [2, 2], [1]]


def test_environments_in_processes_of_their_own():
    envs = several(AutoresetMode.NEXT_STEP, kind=AsyncVectorEnv, camera=None)
    try:
        envs.reset(seed=0)
        assert [envs.step(ones())[1].tolist() for _ in range(2)][1] == pytest.approx([0.2, 0.2, 0.2])
    finally:
        envs.close()


def test_a_task_each():
    model = ReadsTheDot()
    tasks = []
    model.progress = lambda frames, *, tasks: seen(tasks) or ReadsTheDot.progress(model, frames, tasks=tasks)
    seen = tasks.extend
    envs = SyncVectorEnv([MovingDot, MovingDot])
    VectorRewardWrapper(envs, model, ["left", "right"]).reset()
    assert tasks == ["left", "right"]
    with pytest.raises(ConfigError, match="`task` must be a text, or one for each of 2 environments: 3"):
        VectorRewardWrapper(envs, model, ["a", "b", "c"])


def test_what_cannot_be_paid_right_is_refused():
    with pytest.raises(ConfigError, match="`camera` must name a picture in the observation where episodes start anew"):
        several(AutoresetMode.SAME_STEP, camera=None)
    with pytest.raises(ConfigError, match="`success_threshold` must be None where environments start episodes anew"):
        several(AutoresetMode.NEXT_STEP, success_threshold=0.9)
