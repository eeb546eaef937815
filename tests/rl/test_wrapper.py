"""One environment paid by a reward model: what each step is paid, by hand."""

import copy
import threading

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit
from rl.moving_dot import MovingDot, ReadsTheDot

from rfm.errors import ConfigError, DataError
from rfm.rl import RewardWrapper

RIGHT = np.int64(1)


def wrapped(start=3, limit=None, model=None, **rules):
    env = MovingDot(start)
    rules = {"every": 1, **rules}
    return RewardWrapper(TimeLimit(env, limit) if limit else env, model or ReadsTheDot(), "reach the end", **rules)


def paid(env, actions):
    env.reset(seed=0)
    return [env.step(np.int64(action))[1] for action in actions]


def paid_on(env, steps):
    return [env.step(RIGHT)[1] for _ in range(steps)]


def test_it_is_an_environment_by_gymnasiums_own_check():
    check_env(wrapped(every=4, limit=20))
    check_env(wrapped(mode="potential", keep_env_reward=True, camera="view"))


def test_making_it_anew_shares_the_model():
    env = TimeLimit(wrapped(), 3)
    assert copy.deepcopy(env.spec).additional_wrappers[0].kwargs["model"].model is env.env._referee._model
    assert paid(env.spec.make(), [1, 1]) == pytest.approx([0.1, 0.1])


def test_the_gain_of_each_step():
    assert paid(wrapped(), [1, 1, -1, 0]) == pytest.approx([0.1, 0.1, -0.1, 0.0])


def test_an_episode_is_paid_its_last_score_less_its_first_however_seldom_it_is_scored():
    for every in (1, 2, 3, 5, 100):
        assert sum(paid(wrapped(every=every), [1] * 7)) == pytest.approx(1.0 - 0.3)


def test_between_scorings_the_last_score_is_held():
    assert paid(wrapped(every=3, mode="absolute"), [1] * 7) == pytest.approx([0.3, 0.3, 0.6, 0.6, 0.6, 0.9, 1.0])


def test_potentials_end_at_zero_where_the_episode_terminates_and_stay_where_it_is_cut_short():
    rules = {"mode": "potential", "gamma": 0.5}
    assert paid(wrapped(start=8, **rules), [1, 1]) == pytest.approx([0.5 * 0.9 - 0.8, 0.0 - 0.9])
    assert paid(wrapped(start=7, limit=2, **rules), [1, 1]) == pytest.approx([0.5 * 0.8 - 0.7, 0.5 * 0.9 - 0.8])


def test_shaping_sums_to_the_first_potential():
    rewards = paid(wrapped(start=4, mode="potential", gamma=0.9, every=4), [1, 0, 1, 1, -1, 1, 1, 1, 1])
    assert sum(0.9**at * reward for at, reward in enumerate(rewards)) == pytest.approx(-0.4)


def test_terminal_pays_at_the_end_alone():
    assert paid(wrapped(start=8, mode="terminal"), [1, 1]) == pytest.approx([0.0, 1.0])
    assert paid(wrapped(start=3, mode="terminal", limit=3, weight=2.0), [1, 1, 1]) == pytest.approx([0, 0, 1.2])


def test_the_environments_reward_is_added_on_request_and_told_always():
    env = wrapped(keep_env_reward=True, weight=10.0)
    env.reset()
    _, reward, _, _, info = env.step(RIGHT)
    assert reward == pytest.approx(5 + 1)
    assert info["env_reward"] == 5
    assert info["relabeled_reward"] == pytest.approx(1)
    assert info["total_reward"] == reward
    assert (info["progress"], info["progress_step"], info["step_in_episode"]) == (0.4, 1, 1)
    assert info["success_prob"] == 0


def test_frames_are_drawn_when_they_are_scored_and_the_last_one_always():
    env = wrapped(every=3)
    assert len(paid(env, [1] * 7)) == 7
    assert env.unwrapped.drawn == 1 + 2 + 1
    assert env._referee._model.calls == [[1], [2], [3], [4]]


def test_a_part_of_the_observation_or_a_function_of_it_is_the_camera():
    rewards = paid(wrapped(), [1, 1])
    assert paid(wrapped(camera="view"), [1, 1]) == rewards
    assert paid(wrapped(camera=lambda seen: seen["view"][::-1]), [1, 1]) == rewards


def test_success_ends_the_episode_once_it_was_seen_often_enough_in_a_row():
    env = wrapped(start=7, success_threshold=0.8, success_steps=2)
    env.reset()
    ends = [env.step(np.int64(action))[2] for action in (1, -1, 1, 0)]
    assert ends == [False, False, False, True]
    env.reset()
    *_, info = env.step(RIGHT)
    assert not info["success_from_reward_model"]
    assert info["success_prob"] == 1


def test_a_success_that_the_model_sees_is_a_termination_for_potentials_too():
    env = wrapped(start=7, success_threshold=0.8, success_steps=1, mode="potential", gamma=1.0, keep_env_reward=True)
    env.reset()
    _, reward, terminated, _, info = env.step(RIGHT)
    assert terminated
    assert info["success_from_reward_model"]
    assert reward == pytest.approx(5 - 0.7)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failed_scoring_raises(asynchronous):
    model = ReadsTheDot()
    env = wrapped(model=model, asynchronous=asynchronous)
    env.reset()
    model.fault = ConnectionError("the server is gone")
    with pytest.raises(ConnectionError, match="the server is gone"):
        paid_on(env, 7)


def test_a_failed_scoring_is_held_over_and_made_up_for():
    model = ReadsTheDot()
    env = wrapped(model=model, on_error="hold", mode="absolute")
    env.reset()
    assert env.step(RIGHT)[1] == pytest.approx(0.4)
    model.fault = TimeoutError("too slow")
    _, reward, _, _, info = env.step(RIGHT)
    assert reward == pytest.approx(0.4)
    assert info["reward_model_error"] == "TimeoutError: too slow"
    assert info["progress_step"] == 1
    model.fault = None
    _, reward, _, _, info = env.step(RIGHT)
    assert reward == pytest.approx(0.6)
    assert "reward_model_error" not in info


def test_a_first_state_that_cannot_be_scored_always_raises():
    model = ReadsTheDot()
    model.fault = TimeoutError("too slow")
    with pytest.raises(TimeoutError):
        wrapped(model=model, on_error="hold").reset()


@pytest.mark.parametrize("said", [float("nan"), float("inf"), 1.5, -0.2])
def test_what_is_no_score_is_never_paid(said):
    model = ReadsTheDot()
    env = wrapped(model=model)
    env.reset()
    model.says = said
    with pytest.raises(DataError, match=r"a score must be a number between 0 and 1, but the model said"):
        env.step(RIGHT)


class Slow(ReadsTheDot):
    """Answers when told to."""

    def __init__(self):
        super().__init__()
        self.go_on = threading.Event()

    def progress(self, frames, *, tasks):
        assert self.go_on.wait(60)
        return super().progress(frames, tasks=tasks)


def test_steps_need_not_wait_for_the_model_and_the_end_does():
    model = Slow()
    model.go_on.set()
    env = wrapped(model=model, asynchronous=True, limit=5)
    env.reset()
    model.go_on.clear()
    assert paid_on(env, 3) == [0.0, 0.0, 0.0]
    model.go_on.set()
    env._referee._waiting.result(60)
    _, reward, _, _, info = env.step(RIGHT)
    assert reward == pytest.approx(0.1), "of the step that was asked about"
    assert info["progress_step"] == 1
    _, reward, _, truncated, info = env.step(RIGHT)
    assert truncated
    assert reward == pytest.approx(0.4), "the rest, so that the episode is paid in full"
    assert info["progress_step"] == 5
    env.close()


def test_a_new_episode_is_not_paid_what_was_asked_about_the_one_before():
    model = Slow()
    model.go_on.set()
    env = wrapped(model=model, asynchronous=True)
    env.reset()
    env.step(RIGHT)
    _, info = env.reset()
    assert info["progress"] == pytest.approx(0.3)
    rewards = [env.step(np.int64(action))[1] for action in (-1, -1, -1)]
    assert all(reward <= 0 for reward in rewards)
    env.close()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"mode": "both"}, "`mode` must be one of potential, delta, absolute, terminal, but is 'both'"),
        ({"every": 0}, "`every` must be at least 1, but is 0"),
        ({"gamma": 1.1}, "`gamma` must lie between 0 and 1, but is 1.1"),
        ({"success_threshold": 80}, "`success_threshold` must be progress above 0 and at most 1, but is 80"),
        ({"every": 2.5}, "`every` must be a whole number, but is 2.5"),
        ({"every": True}, "`every` must be a whole number, but is True"),
        ({"weight": float("nan")}, "`weight` must be a finite number, but is nan"),
        ({"weight": "2"}, "`weight` must be a finite number, but is '2'"),
        ({"gamma": float("inf")}, "`gamma` must be a finite number, but is inf"),
        ({"success_threshold": "0.8"}, "`success_threshold` must be a finite number, but is '0.8'"),
        ({"success_steps": 1.5}, "`success_steps` must be a whole number, but is 1.5"),
        ({"success_steps": 0}, "`success_steps` must be at least 1, but is 0"),
        ({"on_error": "zero"}, "`on_error` must be one of raise, hold, but is 'zero'"),
    ],
)
def test_rules_that_cannot_be(given, text):
    with pytest.raises(ConfigError) as error:
        wrapped(**given)
    assert str(error.value) == text


@pytest.mark.parametrize("task", ["", " ", None, 5])
def test_a_task_that_says_nothing(task):
    with pytest.raises(ConfigError, match="a task must be a text that says what to do, but is"):
        RewardWrapper(MovingDot(), ReadsTheDot(), task)


def test_an_environment_that_draws_nothing():
    with pytest.raises(ConfigError, match="`render_mode` must be rgb_array where frames are rendered, but is None"):
        RewardWrapper(MovingDot(render_mode=None), ReadsTheDot(), "reach the end")


def test_a_camera_that_is_not_there_or_shows_no_picture():
    with pytest.raises(
        ConfigError, match="`camera` must name a part of the observation, but is 'eye'; it has view, at"
    ):
        wrapped(camera="eye").reset()
    with pytest.raises(DataError, match=r"the observation's 'at' must be a picture, uint8 of shape \(h, w, 3\)"):
        wrapped(camera="at").reset()


def test_a_time_limit_belongs_inside_and_one_outside_is_warned_of(caplog):
    rules = {"mode": "terminal", "every": 2}
    inside, outside = wrapped(limit=3, **rules), TimeLimit(wrapped(**rules), 3)
    assert paid(inside, [1, 1, 1]) == pytest.approx([0.0, 0.0, 0.6])
    assert paid(outside, [1, 1, 1]) == [0.0, 0.0, 0.0]
    inside.reset()
    assert caplog.text == ""
    for _ in range(2):
        outside.reset()
        outside.step(RIGHT)
    assert caplog.text.count("an episode is begun anew after 3 steps without a termination or truncation that Re") == 1
    assert caplog.text.count("put it inside: RewardWrapper(TimeLimit(env, …), …)") == 1


def test_shaping_alone_is_warned_of(caplog):
    wrapped(mode="potential")
    assert "changes no optimal policy, so that alone it leaves nothing to learn" in caplog.text
