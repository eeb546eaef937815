"""Replay buffers are paid what the wrapper pays for the same episodes."""

import gymnasium
import numpy as np
import pytest
import torch
from PIL import Image
from rl.moving_dot import MovingDot
from rl.test_with_a_model import SeenDot
from scored_clips import film, random_model

from rfm.errors import ConfigError, DataError
from rfm.rl import RewardWrapper, relabel

TASK = "push it"


@pytest.fixture(scope="module")
def model():
    return random_model(max_frames=4)


def recorded(model, starts, limit, **rules):
    """Episodes of a dot that goes right until it is there or time is over, as a buffer, and what they were paid."""
    rows = {name: [] for name in ("frames", "next_frames", "terminated", "truncated", "paid")}
    for start in starts:
        env = RewardWrapper(gymnasium.wrappers.TimeLimit(SeenDot(start), limit), model, TASK, **rules)
        observation, _ = env.reset()
        over = False
        while not over:
            after, reward, terminated, truncated, _ = env.step(np.int64(1))
            row = (observation["view"], after["view"], terminated, truncated, reward)
            for name, value in zip(rows, row, strict=True):
                rows[name].append(value)
            observation, over = after, terminated or truncated
    return {name: np.array(values) for name, values in rows.items()}


@pytest.mark.parametrize("mode", ["delta", "potential", "absolute", "terminal"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_buffer_is_paid_what_the_wrapper_pays(model, mode, every):
    rules = {"every": every, "mode": mode, "weight": 2.0, "gamma": 0.9}
    buffer = recorded(model, (3, 9, 2, 5), 6, **rules)
    paid = buffer.pop("paid")
    assert buffer["terminated"].any()
    assert buffer["truncated"].any()
    found = relabel(model, task=TASK, **buffer, **rules)
    assert (found.dtype, found.shape) == (np.float32, paid.shape)
    assert found.tolist() == pytest.approx(paid.tolist(), abs=1e-5)
    assert np.abs(paid).max() > 1e-4


def test_an_unfinished_episode_is_paid_as_far_as_it_went(model):
    buffer = recorded(model, (3, 2), 6, every=4)
    wanted = buffer.pop("paid")[:9]
    cut = {name: values[:9] for name, values in buffer.items()}
    assert relabel(model, task=TASK, every=4, **cut).tolist() == pytest.approx([*wanted[:9].tolist()], abs=1e-5)


def test_rewards_of_an_episode_are_what_it_gained(model):
    clip = film(10)
    ends = np.arange(9) == 8
    paid = relabel(model, clip[:-1], clip[1:], TASK, terminated=ends, every=4)
    scored = clip[[0, 4, 8, 9]]
    gained = model.progress(scored, TASK).expected - model.progress(clip[:1], TASK).expected
    assert paid.sum() == pytest.approx(gained, abs=1e-5)
    assert np.flatnonzero(paid).tolist() == [3, 7, 8]


def test_steps_have_instructions_of_their_own(model):
    clip, ends = film(7), np.array([0, 0, 1, 0, 0, 1])
    tasks = ["push it"] * 3 + ["pull it"] * 3
    both = relabel(model, clip[:-1], clip[1:], tasks, terminated=ends, every=1)
    for part, task in ((slice(0, 3), "push it"), (slice(3, 6), "pull it")):
        alone = relabel(model, clip[:-1][part], clip[1:][part], task, terminated=ends[part], every=1)
        assert both[part].tolist() == pytest.approx(alone.tolist(), abs=1e-5)
    with pytest.raises(DataError, match="same in an episode, but from step 0 on it is 'pull it' and 'push it'"):
        relabel(model, clip[:-1], clip[1:], tasks, terminated=np.arange(6) == 5)


def test_frames_that_are_not_scored_are_never_read(model):
    class Lazy:
        def __init__(self, array):
            self.array, self.read = array, []

        def __len__(self):
            return len(self.array)

        def __getitem__(self, at):
            self.read += at.tolist()
            return self.array[at]

    clip = film(10)
    before, after = Lazy(clip[:-1]), Lazy(clip[1:])
    relabel(model, before, after, TASK, terminated=np.arange(9) == 8, every=4)
    assert (before.read, after.read) == ([0], [3, 7, 8])


@pytest.mark.parametrize("as_given", [list, tuple, torch.from_numpy, lambda frames: list(map(Image.fromarray, frames))])
def test_frames_and_tasks_come_as_lists_and_tensors_too(model, as_given):
    clip, rules = film(10), {"terminated": np.arange(9) == 8, "every": 4}
    wanted = relabel(model, clip[:-1], clip[1:], TASK, **rules)
    found = relabel(model, as_given(clip[:-1]), as_given(clip[1:]), iter([TASK] * 9), **rules)
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"terminated": np.zeros((4, 2))},
            r"`terminated` must have shape \(4,\), a value a frame, but has \(4, 2\); of",
        ),
        ({"truncated": np.array([0, 1, 2, 0])}, "`truncated` must hold true and false, but holds 2"),
        ({"next_frames": film(3)}, "`next_frames` must be as many as `frames`, 4, but are 3"),
        ({"next_frames": film(4, size=32)}, "must be of one size, but have 48 x 48 and 32 x 32 pixels"),
        ({"frames": film(4).transpose(0, 3, 1, 2)}, r"channels come first: give frames.transpose\(0, 2, 3, 1\)"),
        ({"frames": film(4) / 255}, "`frames` must be uint8, from 0 to 255, but is float64"),
        ({"task": ["push it"]}, "`task` must be one text, or one a step, 4, but are 1"),
        ({"every": 0}, "`every` must be at least 1, but is 0"),
        ({"every": 2.5}, "`every` must be a whole number, but is 2.5"),
        ({"weight": np.nan}, "`weight` must be a finite number, but is nan"),
        ({"gamma": np.nan}, "`gamma` must be a finite number, but is nan"),
        (
            {"frames": iter(film(4))},
            "`frames` must be an array of frames, or a list of them, but is generator|iterator",
        ),
        ({"next_frames": None}, "`next_frames` must be an array of frames, or a list of them, but is NoneType"),
        ({"next_frames": [None] * 4}, r"`next_frames`\[0\] must be an array of frames"),
        ({"task": 5}, "`task` must be a list of texts, but is int"),
        ({"task": ["push it", "", "", ""]}, "a task must be a text that says what to do, but is ''"),
        ({"mode": "sum"}, "`mode` must be one of potential, delta, absolute, terminal, but is 'sum'"),
    ],
)
def test_what_is_no_buffer_is_an_error(model, changes, text):
    whole = {"frames": film(4), "next_frames": film(4, 1), "task": TASK, "terminated": np.arange(4) == 3}
    with pytest.raises((ConfigError, DataError), match=text):
        relabel(model, **whole | {"every": 2} | changes)


def test_a_score_that_is_none_is_an_error():
    class Broken:
        def curve(self, frames, *, tasks):
            return [type("Curve", (), {"expected": np.array([0.1, np.nan])})() for _ in frames]

    frames = np.stack([MovingDot().reset()[0]["view"]] * 2)
    with pytest.raises(DataError, match=r"a score must be a number between 0 and 1, but the model said nan"):
        relabel(Broken(), frames[:1], frames[1:], TASK, terminated=[True])
