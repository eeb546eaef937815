"""A checkpoint is asked as it was trained, or it is said: once, with both values, by whatever asks."""

import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from checkpoints import random_checkpoint
from films import episode, film, write_episodes
from pyarrow.parquet import read_table
from vqa_fakes import indices, row, write_dataset, write_frames

from rfm.batch.clips import ClipReference, clips_of
from rfm.batch.input_format import InputFormat
from rfm.cli import run_command
from rfm.errors import DataError
from rfm.frames.spacing import EVENLY
from rfm.inference.engines.openai import OpenAIEngine
from rfm.inference.engines.vllm import VLLMEngine
from rfm.inference.prediction import Prediction
from rfm.inference.predictor import Predictor
from rfm.model.load import load_model
from rfm.model.trained_format import trained_format
from rfm.vqa.presentation import Presentation
from rfm.vqa.prompts import prompt

ASKED = {"frame_choice": EVENLY, "prompt_version": 1, "discrete_progress": False}
SIXTEEN = "the checkpoint was trained on up to 4 frames a clip and is shown up to 16 frames: its answers are worth less"


@pytest.fixture(scope="module")
def of_four(tmp_path_factory):
    """A checkpoint that was trained on four frames a clip."""
    return random_checkpoint(tmp_path_factory.mktemp("model") / "final", max_frames=4, **ASKED)


def questions(folder, shown, **record):
    """Two questions about clips of `shown` out of 32 frames; `record` is the configuration that they were made with."""
    paths = write_frames(folder / "root", 2, frames=32)
    rows = [
        row("progress", "5", prompt("progress", "push"), clip=(paths[0], indices(31, shown))),
        row("preference", "1", "Which?", first=(paths[0], indices(31, shown)), second=(paths[1], indices(15, shown))),
    ]
    made = write_dataset(folder / f"vqa_{shown}", folder / "root", rows)
    content = {"datasets_root": str(folder / "root"), "prompt_version": 1}
    settings = {"config": {"data": {"max_frames": shown, "discrete_progress": False, **record}}} if record else {}
    (made / "generation_config.json").write_text(json.dumps({**content, **settings}))
    return made, rows


@pytest.fixture
def evaluate(tmp_path):
    def run(model, dataset, *flags):
        output = tmp_path / "results.json"
        words = [*("--model_path", str(model)), "--dataset_path", str(dataset), "--output_path", str(output), *flags]
        output.unlink(missing_ok=True)
        assert run_command(("evaluate",), words, "rfm evaluate") == 0
        return json.loads(output.read_text())

    return run


def warnings_in(caplog, words="worth less"):
    return [" ".join(one.getMessage().split()) for one in caplog.records if words in one.getMessage()]


def test_evaluation_says_a_difference_once_and_keeps_it_in_the_results(of_four, evaluate, tmp_path, caplog):
    dataset, _ = questions(tmp_path, 16, max_frames=16)
    results = evaluate(of_four, dataset, "--device", "cpu", "--controls", "blank", "shuffled", "swapped")
    assert results["input_mismatch"] == {"max_frames": {"trained": 4, "asked": 16}}
    assert warnings_in(caplog) == [f"{SIXTEEN}; generate with data.max_frames=4"]


def test_evaluation_as_trained_says_so(of_four, evaluate, tmp_path, caplog):
    dataset, _ = questions(tmp_path, 4, max_frames=4)
    assert evaluate(of_four, dataset, "--device", "cpu")["input_mismatch"] == {}
    assert not warnings_in(caplog)


def test_without_a_record_the_rows_tell(of_four, evaluate, tmp_path, caplog):
    dataset, _ = questions(tmp_path, 2)
    assert evaluate(of_four, dataset, "--device", "cpu")["input_mismatch"] == {"max_frames": {"trained": 4, "asked": 2}}
    assert len(warnings_in(caplog)) == 1


def test_another_scale_of_scores_is_said(of_four, evaluate, tmp_path, caplog):
    dataset, _ = questions(tmp_path, 4, discrete_progress=True)
    found = evaluate(of_four, dataset, "--device", "cpu")["input_mismatch"]
    assert found == {"discrete_progress": {"trained": False, "asked": True}}
    [said] = warnings_in(caplog)
    assert "was trained on scores from 0 to 100 and is asked for 1 to 5" in said


def test_a_checkpoint_that_does_not_say_loads_and_that_is_said_once(evaluate, tmp_path, caplog):
    old = random_checkpoint(tmp_path / "old")
    dataset, _ = questions(tmp_path, 16, max_frames=16)
    assert evaluate(old, dataset, "--device", "cpu", "--controls", "blank")["input_mismatch"] is None
    assert warnings_in(caplog, "is not known") == [
        "rfm_config.json of the checkpoint does not say how many frames a clip it was trained on: whether it is asked "
        "as it was trained is not known",
        *[one for one in warnings_in(caplog, "is not known") if "on these trajectories" in one],
    ]


def test_baselines_are_asked_anything(evaluate, tmp_path, caplog):
    dataset, _ = questions(tmp_path, 16, max_frames=16)
    assert evaluate("constant", dataset)["input_mismatch"] is None
    assert not warnings_in(caplog)


def test_the_validation_set_of_a_calibration_is_compared_too(of_four, evaluate, tmp_path, caplog):
    dataset, _ = questions(tmp_path / "test", 4, max_frames=4)
    validation, _ = questions(tmp_path / "validation", 8, max_frames=8)
    evaluate(of_four, dataset, "--device", "cpu", "--decoding", "scored", "--calibrate_on", str(validation))
    [said] = warnings_in(caplog)
    assert "was trained on up to 4 frames a clip and is shown up to 8 frames" in said


@pytest.mark.parametrize("style", ["gvl", "topreward"])
def test_other_questions_than_the_datasets_are_a_difference_too(of_four, evaluate, tmp_path, caplog, style):
    dataset, _ = questions(tmp_path, 4, max_frames=4)
    found = evaluate(of_four, dataset, "--device", "cpu", "--prompting", style)["input_mismatch"]
    assert found == {"prompting": {"trained": None, "asked": style}}
    assert warnings_in(caplog) == [
        "the checkpoint was trained on the dataset's own questions and is asked those of "
        f"{style}: its answers are worth less; leave --prompting out"
    ]


def test_from_python_rows_are_compared_when_they_are_asked(of_four, tmp_path, caplog):
    _, rows = questions(tmp_path, 16)
    model = Predictor.from_checkpoint(of_four, "cpu", datasets_root=tmp_path / "root")
    for _ in range(2):
        model.predict(rows, progress=False)
    assert warnings_in(caplog) == [f"{SIXTEEN}; generate with data.max_frames=4"]


def test_short_clips_that_show_all_their_frames_are_as_trained(of_four, tmp_path, caplog):
    path, *_ = write_frames(tmp_path, 1)
    model = Predictor.from_checkpoint(of_four, "cpu", datasets_root=tmp_path)
    model.predict([row("progress", "5", "How far?", clip=(path, [0, 1, 2]))], progress=False)
    assert not warnings_in(caplog)


def test_a_stock_model_was_trained_on_nothing_of_ours(tmp_path, caplog):
    _, rows = questions(tmp_path, 16)
    Predictor(load_model("tiny"), tmp_path / "root", InputFormat(32, 32)).predict(rows, progress=False)
    assert not warnings_in(caplog)
    assert not warnings_in(caplog, "not known")


@pytest.fixture
def robot(tmp_path):
    return write_episodes(tmp_path, "robot", [episode(tmp_path, "robot", "robot_000000", film(0, 40))])


@pytest.mark.parametrize(
    ("form", "flags", "most", "said"),
    [
        ({"max_frames": 4}, (), 4, None),
        ({"max_frames": 1}, (), 2, "was trained on 1 frame a clip and is shown up to 2 frames"),
        ({"max_frames": 4}, ("--max_frames", "4"), 4, None),
        ({"max_frames": 4}, ("--max_frames", "16"), 16, "is shown up to 16 frames: its answers are worth less; leave"),
        ({"max_frames": 4}, ("--max_frames", "2"), 2, "is shown up to 2 frames: its answers are worth less; leave"),
        ({}, (), 16, "does not say how many frames a clip it was trained on"),
    ],
)
def test_relabelling_shows_as_many_frames_as_training(robot, monkeypatch, caplog, form, flags, most, said):
    model, shown = random_checkpoint(robot / "model", **form), []

    def answer(self, rows, *_, **__):
        shown.extend(len(one["frame_indices"]) for one in rows)
        return [Prediction("ANS: 50", probabilities=(1 / 101,) * 101, leftover=0.0)] * len(rows)

    monkeypatch.setattr(Predictor, "predict_shared", answer)
    words = ["robot", "--output", str(robot / "p.parquet"), "--datasets_root", str(robot), "--model_path", str(model)]
    assert run_command(("relabel",), [*words, "--device", "cpu", *flags], "rfm relabel") == 0
    assert max(shown) == most
    told = [*warnings_in(caplog), *warnings_in(caplog, "does not say")]
    assert len(told) == (said is not None)
    assert said is None or said in told[0]


@pytest.mark.parametrize("discrete", [False, True])
def test_relabelling_asks_on_the_scale_of_training(robot, monkeypatch, discrete):
    model = random_checkpoint(robot / "model", max_frames=4, **{**ASKED, "discrete_progress": discrete})
    asked = set()

    def answer(self, rows, *_, **__):
        asked.update(one["prompt"].partition(" for the robot")[0][-16:] for one in rows)
        shares = np.eye(5 if discrete else 101)[3 if discrete else 4]
        return [Prediction("ANS: 4", probabilities=tuple(shares), leftover=0.0)] * len(rows)

    monkeypatch.setattr(Predictor, "predict_shared", answer)
    words = ["robot", "--output", str(robot / "p.parquet"), "--datasets_root", str(robot), "--model_path", str(model)]
    assert run_command(("relabel",), [*words, "--device", "cpu"], "rfm relabel") == 0
    assert asked == {"core from 1 to 5" if discrete else "re from 0 to 100"}
    assert set(read_table(robot / "p.parquet")["progress"].to_pylist()) == {np.float32(0.75 if discrete else 0.04)}


@pytest.mark.parametrize("images", [False, True])
def test_servers_are_sent_frames_in_the_size_and_mode_of_training(tmp_path, images):
    """32 x 32 of stored 64 x 64, by the very store that our own batches come from."""
    folder = random_checkpoint(tmp_path / "final", images=images, max_frames=4, **ASKED)
    path, *_ = write_frames(tmp_path, 1, size=64)
    asked = row("progress", "5", "How far?", clip=(path, indices(15)))
    engine = OpenAIEngine("http://127.0.0.1:9/v1", "m", tmp_path, trained=trained_format(str(folder)))
    assert engine.as_video is not images
    own = Predictor.from_checkpoint(folder, "cpu", datasets_root=tmp_path)
    [clip] = clips_of(asked)
    assert np.array_equal(engine.clip(clip), own.frames.clip(clip))
    assert engine.clip(clip).shape == (4, 32, 32, 3)
    kinds = [part["type"] for part in engine.content(asked, blank_frames=False)]
    assert kinds == ([*["image_url"] * 4, "text"] if images else ["video_url", "text"])
    assert not engine.own_differences()
    stored = OpenAIEngine("http://127.0.0.1:9/v1", "m", tmp_path)
    assert stored.clip(clip).shape == (4, 64, 64, 3)
    assert stored.as_video is False


def test_frames_under_another_root_are_sized_alike(tmp_path, of_four):
    path, *_ = write_frames(tmp_path / "other", 1, size=64)
    engine = OpenAIEngine("http://127.0.0.1:9/v1", "m", tmp_path, trained=trained_format(str(of_four)))
    assert engine.under(tmp_path / "other").clip(ClipReference(path, (0, 3))).shape == (2, 32, 32, 3)


def test_another_mode_than_that_of_training_is_said(tmp_path, of_four, caplog):
    engine = OpenAIEngine("http://127.0.0.1:9/v1", "m", tmp_path, trained=trained_format(str(of_four)), as_video=False)
    engine.compare(Presentation(4, 4))
    assert warnings_in(caplog) == [
        "the checkpoint was trained on clips as video and is sent images: its answers are worth less; pass --frames_as "
        "video"
    ]


class FakeVLLM:
    """What vLLM's documented interface takes, and what it was given."""

    def __init__(self):
        self.given, self.asked = {}, []
        self.SamplingParams = SimpleNamespace
        self.LLM = self.load

    def load(self, **settings):
        self.given = settings
        return SimpleNamespace(chat=self.chat)

    def chat(self, messages, settings, use_tqdm):
        self.asked += messages
        said = SimpleNamespace(text="ANS: 1", logprobs=None)
        return [SimpleNamespace(outputs=[said], prompt_token_ids=[1, 2]) for _ in messages]


def test_vllm_is_asked_as_the_checkpoint_was_trained(tmp_path, of_four, monkeypatch, caplog):
    vllm = FakeVLLM()
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    _, rows = questions(tmp_path, 16)
    engine = VLLMEngine(str(of_four), tmp_path / "root")
    assert engine.trained == InputFormat(32, 32, max_frames=4, **ASKED)
    assert engine.as_video
    assert vllm.given["media_io_kwargs"] == {"video": {"num_frames": -1, "fps": 2.0}}
    assert [one.text for one in engine.predict(rows, progress=False)] == ["ANS: 1"] * 2
    assert warnings_in(caplog) == [f"{SIXTEEN}; generate with data.max_frames=4"]


def test_vllm_is_not_given_a_checkpoint_that_is_not_as_it_was_sealed(tmp_path, of_four, monkeypatch):
    vllm = FakeVLLM()
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    folder = shutil.copytree(of_four, tmp_path / "copy")
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError, match=rf"{folder} must be as it was saved, but {weights.name} has other bytes than"):
        VLLMEngine(str(folder), tmp_path / "root")
    assert vllm.given == {}
