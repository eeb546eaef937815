"""The public face: records, equal numbers whoever asks, batched forms, orders, the tracker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from checkpoints import random_checkpoint
from marked_frames import write_marked
from PIL import Image
from scored_clips import film, random_model
from worlds import make_world
from wrong_calls import WRONG

import rfm
from rfm.batch.input_format import InputFormat
from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.frames.npz.file import read_npz_frames
from rfm.frames.spacing import evenly_spaced
from rfm.inference.predictor import Predictor
from rfm.model.load import load_model
from rfm.scoring.reward_model import RewardModel
from rfm.scoring.success import SuccessRule


@pytest.fixture(scope="module")
def model() -> RewardModel:
    return random_model()


def test_a_record_tells_the_distribution_and_what_is_read_from_it(model: RewardModel) -> None:
    said = model.progress(film(5), "pick up the cup")
    assert said.answers.tolist() == [at / 100 for at in range(101)]
    assert said.probabilities.sum() == pytest.approx(1)
    assert said.expected == pytest.approx(float(said.probabilities @ said.answers))
    assert said.median == said.quantile(0.5)
    assert said.quantile(0.05) <= said.median <= said.quantile(0.95) <= said.quantile(1) <= 1
    assert (said.task, said.frame, said.shown) == ("pick up the cup", 4, (0, 1, 2, 3, 4))
    assert json.dumps(said.to_json())
    with pytest.raises(FrozenInstanceError):
        said.expected = 1.0  # type: ignore[misc]
    with pytest.raises(ConfigError, match=r"`share` must lie between 0 and 1, but is 1\.5"):
        said.quantile(1.5)


def test_a_curve_is_the_progress_of_every_prefix(model: RewardModel) -> None:
    frames = film(11)
    curve = model.curve(frames, "pick up the cup")
    assert curve.frames.tolist() == list(range(11))
    alone = [model.progress(frames[: end + 1], "pick up the cup") for end in range(11)]
    assert curve.expected == pytest.approx([one.expected for one in alone], abs=1e-5)
    assert curve.shown == tuple(one.shown for one in alone)
    assert np.ptp(curve.expected) > 1e-3
    assert curve[4].expected == pytest.approx(alone[4].expected, abs=1e-5)
    assert curve.quantile(0.1).shape == (11,)
    few = model.curve(frames, "pick up the cup", points=3)
    assert few.frames.tolist() == [0, 5, 10]
    assert few.expected == pytest.approx(curve.expected[[0, 5, 10]], abs=1e-5)


def test_a_nested_curve_shows_other_frames_and_says_which(model: RewardModel) -> None:
    frames = film(30)
    curve = model.curve(frames, "pick up the cup", frame_choice="nested")
    assert curve.shown[13] == (0, 2, 4, 6, 8, 10, 12, 13)
    assert curve.shown[:8] == model.curve(frames[:8], "pick up the cup").shown
    asked = model.progress(frames[list(curve.shown[13])], "pick up the cup")
    assert curve.expected[13] == pytest.approx(asked.expected, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 30])
def test_the_frames_shown_are_those_of_training(model: RewardModel, count: int) -> None:
    said = model.progress(film(count), "pick")
    assert said.shown == tuple(evenly_spaced(count, 8))
    assert len(said.shown) == min(count, 8)
    assert said.shown[-1] == count - 1


def test_values_are_those_of_the_evaluation(tmp_path: Path) -> None:
    """Whole episodes asked by `rfm evaluate --decoding scored`, and by the reward model: from arrays and from files."""
    world = make_world(tmp_path / "world", episodes=4, frames=11)
    checkpoint = random_checkpoint(tmp_path / "final", max_frames=8)
    data, results = tmp_path / "data", tmp_path / "results.json"
    config = [f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.max_frames=8"]
    words = [f"--output_path={data}", "--eval_set", "ranking", "--partition", "train", "--num_workers", "1"]
    assert run_command(("generate",), [*words, "--config_overrides", *config], "rfm generate") == 0
    found = rfm.evaluate(checkpoint, data, output_path=results, decoding="scored", device="cpu")
    rows = rfm.load_dataset(data)
    model = rfm.RewardModel.from_pretrained(checkpoint, "cpu")
    for row, said in zip(rows, found["predictions"], strict=True):
        path = world / row["npz_path"]
        ours = [
            model.progress(path, row["task"]),
            model.progress(read_npz_frames(path, range(11)), row["task"]),
            model.curve(path, row["task"])[-1],
        ]
        for one in ours:
            assert list(one.shown) == row["frame_indices"]
            assert one.probabilities == pytest.approx(said["probabilities"], abs=1e-5)
            assert f"ANS: {round(100 * one.median)}" == said["completion"]


def test_frames_have_their_numbers_in_the_recording(model: RewardModel, tmp_path: Path) -> None:
    video = write_marked(tmp_path / "long.mp4", 127)
    curve = model.curve(video, "pick", points=3)
    assert curve.frames.tolist() == [0, 64, 126]
    assert curve[2].shown == (0, 18, 36, 54, 72, 90, 108, 126)
    assert curve.seconds == pytest.approx([0, 6.4, 12.6])


def test_short_clips_are_asked_about_together(model: RewardModel) -> None:
    """Of any lengths and tasks; each curve is what it is alone, in fewer calls of the model."""
    clips = [film(length, seed) for seed, length in enumerate((4, 2, 1, 5, 4))]
    tasks = ["push it", "pull it", "push it", "lift it", "push it"]
    calls: list[int] = []
    hook = model.network.get_decoder().register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        together = model.curve(clips, tasks=tasks)
        counted = [len(calls)]
        alone = [model.curve(clip, task) for clip, task in zip(clips, tasks, strict=True)]
    finally:
        hook.remove()
    assert (counted[0], len(calls) - counted[0]) == (5, 13)
    for one, other in zip(together, alone, strict=True):
        assert one.expected.tolist() == pytest.approx(other.expected.tolist(), abs=1e-5)


def test_several_tasks_and_several_clips_at_once(model: RewardModel) -> None:
    clips, tasks = [film(5), film(9, seed=1)], ["pick up the cup", "close the drawer"]
    alone = [model.progress(clip, task).expected for clip, task in zip(clips, tasks, strict=True)]
    assert [one.expected for one in model.progress(clips, tasks=tasks)] == pytest.approx(alone, abs=1e-5)
    both = model.progress(clips[0], tasks=tasks)
    assert [one.task for one in both] == tasks
    assert both[0].expected == pytest.approx(alone[0], abs=1e-5)
    curves = model.curve(clips, tasks=tasks)
    assert [len(curve) for curve in curves] == [5, 9]
    assert curves[1].expected[-1] == pytest.approx(alone[1], abs=1e-5)
    batch = np.stack([film(5), film(5, seed=1)])
    assert len(model.progress(batch, tasks=tasks)) == 2
    assert model.progress([], tasks=[]) == []


def test_single_frames_are_one_clip_or_several_as_they_are_put(model: RewardModel) -> None:
    frames, tasks = film(2), ["pick up the cup", "close the drawer"]
    assert [one.shown for one in model.progress(np.stack(list(frames)), tasks=tasks)] == [(0, 1), (0, 1)]
    alone = model.progress([[frames[0]], [frames[1]]], tasks=tasks)
    assert [one.shown for one in alone] == [(0,), (0,)]
    assert alone[1].expected == pytest.approx(model.progress(frames[1], tasks[1]).expected, abs=1e-5)
    assert [one.shown for one in model.progress(list(film(3)), tasks=tasks)] == [(0, 1, 2)] * 2
    assert [one.shown for one in model.progress([frames[0]], tasks=tasks[:1])] == [(0,)]


def test_tasks_may_come_one_by_one(model: RewardModel) -> None:
    """An iterator is gone through once, and every task is asked about."""
    clip, tasks = film(3), ["pick up the cup", "close the drawer"]
    wanted = [(one.task, one.expected) for one in model.progress(clip, tasks=tasks)]
    for given in (iter(tasks), map(str, tasks), (task for task in tasks), dict.fromkeys(tasks)):
        assert [(one.task, one.expected) for one in model.progress(clip, tasks=given)] == wanted
    assert len(model.curve(clip, tasks=iter(tasks))) == 2
    assert len(model.prefer(clip, clip, tasks=iter(tasks))) == 2


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: m.progress(film(2)), "`task` or `tasks` must be given, one of them"),
        (lambda m: m.progress(film(2), " "), "a task must be a text that says what to do, but is ' '"),
        (lambda m: m.progress(film(2), tasks="pick"), "`tasks` must be a list of texts, but is one: give task='pick'"),
        (lambda m: m.progress(film(2), tasks=2), "`tasks` must be a list of texts, but is int"),
        (
            lambda m: m.progress([film(2), film(2)], "pick"),
            "`frames` must be one clip, but is a list of clips; give `ta",
        ),
        (
            lambda m: m.progress([film(2), film(2)], tasks=["pick"]),
            "`frames` must be one clip, or a clip a task, but are 2 for 1",
        ),
        (
            lambda m: m.progress(list(film(2)), tasks=["pick", "place"]),
            "`frames` must be one clip or a clip a task, but are 2 frames for 2 tasks, which may be either: give "
            "np.stack(frames) for one clip that all are asked about, [[frame], …] for a clip of one frame each",
        ),
        (
            lambda m: m.prefer(film(2), [Image.fromarray(one) for one in film(2)], tasks=["pick", "place"]),
            "`b` must be one clip or a clip a task, but are 2 frames for 2 tasks, which may be either",
        ),
        (lambda m: m.curve(film(2), "pick", points=0), "`points` must be at least 1, but is 0"),
        (lambda m: m.curve(film(2), "pick", batch_size=0), "`batch_size` must be >= 1, but is 0"),
        (
            lambda m: m.curve(film(2), "pick", frame_choice="x"),
            "`frame_choice` must be one of evenly_spaced, nested",
        ),
    ],
)
def test_calls_that_say_too_little_or_too_much(model: RewardModel, call: object, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        call(model)  # type: ignore[operator]
    assert text in str(raised.value)


@pytest.mark.parametrize(("call", "text"), WRONG)
def test_calls_that_no_model_answers(model: RewardModel, call: Callable[[RewardModel], object], text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        call(model)
    assert text in str(raised.value)


def test_counts_are_whole_numbers_from_wherever_they_come(model: RewardModel) -> None:
    assert len(model.curve(film(5), "pick", points=np.int64(3), batch_size=np.int32(2))) == 3
    with pytest.raises(ConfigError, match=r"`max_frames` must be a whole number, but is 2\.5"):
        RewardModel(model._predictor, max_frames=2.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"`steps` must be a whole number, but is 1\.5"):
        SuccessRule(steps=1.5)  # type: ignore[arg-type]


def test_spaces_around_a_task_are_no_part_of_it(model: RewardModel) -> None:
    """Lists of recordings and datasets are read without them, whoever asks by hand has the same number."""
    clip, bare = film(3), "pick up the cup"
    wanted, pair = model.progress(clip, bare).expected, model.prefer(clip, clip[:2], bare).a
    assert model.progress(clip, "pick up  the cup").expected != wanted
    for task in (f"  {bare} \n", f"\t{bare}", f"{bare}\u00a0\r\n"):
        tracker = model.tracker(task)
        tracker.add(clip[:2])
        found = [model.progress(clip, task), model.curve(clip, tasks=[task])[0][-1], tracker.update(clip[2])]
        assert [one.expected for one in found] == pytest.approx([wanted] * 3, abs=1e-6)
        assert model.prefer(clip, clip[:2], task).a == pytest.approx(pair, abs=1e-6)


def test_a_pair_is_asked_in_both_orders(model: RewardModel) -> None:
    a, b = film(9), film(5, seed=1)
    said, turned = model.prefer(a, b, "pick up the cup"), model.prefer(b, a, "pick up the cup")
    assert said.a == pytest.approx(np.mean(said.by_order))
    assert said.a == pytest.approx(1 - turned.a, abs=1e-5)
    assert said.by_order == pytest.approx([1 - one for one in turned.by_order[::-1]], abs=1e-5)
    assert said.better == ("a" if said.a > 0.5 else "b")
    assert said.agree == ((said.by_order[0] > 0.5) == (said.by_order[1] > 0.5))
    assert json.dumps(said.to_json())
    [first, second] = model.prefer([a, b], [b, a], tasks=["pick up the cup"] * 2)
    assert (first.a, second.a) == pytest.approx((said.a, turned.a), abs=1e-5)


def test_a_model_that_goes_by_the_order_is_said_to(model: RewardModel) -> None:
    """Equal clips: whatever is said of one order is said against it in the other."""
    said = model.prefer(film(4), film(4), "pick")
    assert said.a == pytest.approx(0.5, abs=1e-6)
    assert not said.agree


def test_a_tracker_says_what_is_said_of_the_frames_so_far(model: RewardModel) -> None:
    frames = film(12)
    tracker = model.tracker("pick up the cup")
    said = [tracker.update(frame) for frame in frames]
    curve = model.curve(frames, "pick up the cup")
    assert [one.expected for one in said] == pytest.approx(curve.expected, abs=1e-5)
    assert [one.shown for one in said] == list(curve.shown)
    tracker.reset()
    tracker.add(frames[:6])
    assert tracker.update(frames[6]).expected == pytest.approx(curve.expected[6], abs=1e-5)
    assert len(tracker) == 7
    with pytest.raises(
        DataError, match=r"frame 7 must have the size of those before, 48 x 48, but has 40 x 40; reset begins"
    ):
        tracker.add(film(1, size=40))


def test_a_tracker_keeps_what_a_frame_was_when_it_came() -> None:
    model = random_model(resized_height=None, resized_width=None)
    frames, buffer = film(6, size=64), np.empty((64, 64, 3), np.uint8)
    tracker = model.tracker("pick")
    for frame in frames:
        buffer[:] = frame
        said = tracker.update(buffer)
    assert said.expected == pytest.approx(model.progress(frames, "pick").expected, abs=1e-5)


def test_a_tracker_of_a_model_without_a_size_keeps_frames_as_they_are() -> None:
    model = random_model(resized_height=None, resized_width=None)
    frames = film(6, size=64)
    tracker = model.tracker("pick")
    tracker.add(frames[:5])
    assert tracker.update(frames[5]).expected == pytest.approx(model.progress(frames, "pick").expected, abs=1e-5)


def test_success_has_a_threshold_and_hysteresis() -> None:
    rule = SuccessRule(threshold=0.9, release=0.7, steps=2)
    values = [0.95, 0.5, 0.9, 0.92, 0.8, 0.71, 0.69, 0.95, 0.95]
    assert rule.along(values).tolist() == [False, False, False, True, True, True, False, False, True]
    assert rule.at_once().along([0.9]).tolist() == [True]
    with pytest.raises(ConfigError, match="`release` and `threshold` must be progress in"):
        SuccessRule(threshold=0.5, release=0.6)
    with pytest.raises(ConfigError, match="`steps` must be at least 1, but is 0"):
        SuccessRule(steps=0)


def test_success_of_curve_tracker_and_clip_goes_by_the_rule() -> None:
    model = random_model()
    frames = film(6)
    values = model.curve(frames, "pick").expected
    threshold = float(np.sort(values)[:2].mean())
    model.success = SuccessRule(threshold=threshold, release=threshold, steps=2)
    wanted = model.success.along(values)
    assert model.curve(frames, "pick").success.tolist() == wanted.tolist()
    tracker = model.tracker("pick")
    assert [tracker.update(frame).success for frame in frames] == wanted.tolist()
    assert model.progress(frames, "pick").success == (values[-1] >= threshold)


def test_models_of_levels_answer_in_five(tmp_path: Path) -> None:
    model = random_model(discrete_progress=True)
    said = model.progress(film(4), "pick")
    assert said.answers.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert 0 <= said.expected <= 1


def test_a_model_shown_other_frames_than_in_training_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = random_checkpoint(tmp_path / "final", max_frames=8)
    RewardModel.from_pretrained(checkpoint, "cpu", max_frames=4)
    assert "was trained on up to 8 frames a clip and is shown up to 4 frames" in caplog.text
    for count in (1, 0, -3):
        with pytest.raises(ConfigError, match=f"`max_frames` must be at least 2, but is {count}"):
            RewardModel.from_pretrained(checkpoint, "cpu", max_frames=count)


def test_a_stock_model_answers_too() -> None:
    model = RewardModel(Predictor(load_model("tiny"), Path(), InputFormat(32, 32)))
    assert model.max_frames == 16
    assert 0 <= model.progress(film(3), "pick").expected <= 1


def test_one_frame_and_equal_frames_are_answered(model: RewardModel) -> None:
    still = np.repeat(film(1), 8, axis=0)
    said = model.progress(still, "pick")
    assert said.shown == tuple(range(8))
    one = model.progress(still[:1], "pick")
    assert one.shown == (0,)
    assert replace(one).frame == 0
