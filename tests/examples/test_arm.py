"""The task as an environment: Gymnasium's rules, seeds, and what is paid and told."""

from __future__ import annotations

import numpy as np
import pytest
from simulators import simulator

from rfm.errors import ConfigError

simulator()

from gymnasium.utils.env_checker import check_env  # noqa: E402

from examples.arm import HORIZON, Arm  # noqa: E402
from rfm.ingest.metaworld.engine import expert_action, make_expert  # noqa: E402

STILL = np.zeros(4, np.float32)


def test_it_keeps_gymnasiums_rules():
    check_env(Arm("door-close"))


def test_the_expert_succeeds_and_each_reward_says_so():
    paid = {}
    for pay in ("dense", "sparse", "none"):
        env, expert = Arm("door-close", pay), make_expert("door-close")
        observation, info = env.reset(seed=5)
        assert not info["success"]
        assert info["done"] == 0
        rewards, over = [], False
        while not over:
            observation, reward, terminated, over, info = env.step(expert_action(expert, observation))
            assert not terminated
            rewards.append(reward)
        assert len(rewards) == HORIZON
        assert info == {"success": True, "done": 1.0}
        paid[pay] = rewards
    assert paid["sparse"][0] == 0
    assert paid["sparse"][-1] == 1
    assert max(paid["none"]) == 0
    assert paid["dense"][-1] > paid["dense"][0]
    assert 0 <= min(paid["dense"]) <= max(paid["dense"]) <= 1


def test_episodes_are_their_seeds_and_two_arms_are_two():
    one, other = Arm("door-close"), Arm("door-close")
    first = one.reset(seed=5)[0]
    moved = one.step(np.ones(4, np.float32))[0]
    np.testing.assert_array_equal(other.reset(seed=5)[0], first)
    np.testing.assert_array_equal(other.step(np.ones(4, np.float32))[0], moved)
    assert not np.array_equal(other.reset()[0], first)
    assert one.render().shape == (96, 96, 3)
    before = one.render()
    other.step(np.ones(4, np.float32))
    np.testing.assert_array_equal(one.render(), before)


def test_what_it_can_not_pay():
    with pytest.raises(ConfigError, match="`pay` must be one of dense, sparse, none, but is 'much'"):
        Arm("door-close", "much")
    with pytest.raises(ConfigError, match=r"`tasks` must be `all` or among .*, but holds door-shut"):
        Arm("door-shut")
