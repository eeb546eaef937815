"""Rows that ask for more than a question may hold: unreadable, or one error, before memory is taken for them."""

import json

import numpy as np
import pytest
from checkpoints import random_checkpoint
from vqa_fakes import PROGRESS_PROMPT, progress_row, row, write_dataset, write_frames

from rfm.batch.clips import clips_of
from rfm.batch.input_format import InputFormat
from rfm.cli import run_command
from rfm.errors import DataError
from rfm.inference.predictor import Predictor

PROMPT = PROGRESS_PROMPT.format(task="push")
LONG_PROMPT = r"`prompt` must have at most 16384 characters, but has 200000"
MANY_FRAMES = r"`frame_indices` must name at most 4096 frames, but names 1000000"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return random_checkpoint(tmp_path_factory.mktemp("model") / "final")


def rows_and_bombs(root):
    paths = write_frames(root, 2)
    rng = np.random.default_rng(0)
    return paths, [
        progress_row(paths, rng),
        row("progress", "5", "x" * 200_000, clip=(paths[0], [0, 1])),
        row("progress", "5", PROMPT, clip=(paths[0], [0, 1] * 500_000)),
        progress_row(paths, rng),
    ]


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "vqa", tmp_path / "root", rows_and_bombs(tmp_path / "root")[1])


def test_a_row_says_what_is_too_much_and_where(tmp_path):
    _, (_, talkative, endless, _) = rows_and_bombs(tmp_path)
    with pytest.raises(DataError, match=rf"{LONG_PROMPT} \(row 7, of the dataset\)"):
        clips_of(talkative, 7)
    with pytest.raises(DataError, match=rf"{MANY_FRAMES} \(row 8, frames of fake/frames/trajectory_0.npz\)"):
        clips_of(endless, 8)


@pytest.mark.parametrize("model", ["checkpoint", "frame_difference"])
def test_evaluation_goes_on_without_them(dataset, checkpoint, tmp_path, model):
    name = checkpoint if model == "checkpoint" else model
    words = ["--model_path", name, "--dataset_path", dataset, "--output_path", tmp_path / "r.json", "--device", "cpu"]
    assert run_command(("evaluate",), [*map(str, words), "--max_unreadable", "2"], "rfm evaluate") == 0
    unreadable = json.loads((tmp_path / "r.json").read_text())["unreadable"]
    assert unreadable["count"] == 2
    assert any("`prompt` must have at most" in reason for reason in unreadable["reasons"])
    assert any("`frame_indices` must name at most" in reason for reason in unreadable["reasons"])


def test_export_rejects_them(dataset, tmp_path):
    words = [str(dataset), "--format", "trl", "--output", str(tmp_path / "out"), "--max_rejected", "2"]
    assert run_command(("export", "rows"), words, "rfm export rows") == 0
    reasons = (tmp_path / "out" / "rejected.jsonl").read_text()
    assert "must have at most 16384 characters" in reasons
    assert "must name at most 4096 frames" in reasons


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train", ["--model_name", "tiny", "--output_dir", "run", "--max_steps", "1", "--dry_run"]),
        ("check-collator", ["--model_name", "tiny"]),
    ],
)
def test_one_error_where_every_row_is_needed(dataset, tmp_path, monkeypatch, capsys, name, words):
    monkeypatch.chdir(tmp_path)
    assert run_command((name,), ["--dataset_path", str(dataset), *words], f"rfm {name}") == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "must have at most 16384 characters, but has 200000" in " ".join(said.split())


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            (16384, 16384),
            r"`resized_height` and `resized_width` must give at most 67108864 pixels a frame, but are 16384",
        ),
        ((2**40, 32), r"`resized_height` must be null or a whole number from 1 to 16384, but is 1099511627776"),
        ((32, 0), r"`resized_width` must be null or a whole number from 1 to 16384, but is 0"),
        ((-32, -32), r"`resized_height` must be null or a whole number from 1 to 16384, but is -32"),
    ],
)
def test_the_bounds_of_flags_hold_for_a_checkpoint_too(tmp_path, sizes, message):
    (tmp_path / "rfm_config.json").write_text(json.dumps({"resized_height": sizes[0], "resized_width": sizes[1]}))
    with pytest.raises(DataError, match=message):
        InputFormat.load(tmp_path)


def test_pixel_budgets_of_a_checkpoint(tmp_path):
    (tmp_path / "rfm_config.json").write_text(json.dumps({"max_pixels": 2**60}))
    with pytest.raises(
        DataError, match=r"`max_pixels` must be null or a whole number from 1 to 268435456, but is 11529"
    ):
        InputFormat.load(tmp_path)


def test_frames_shown_larger_than_any_model_takes(checkpoint, tmp_path):
    paths, _ = rows_and_bombs(tmp_path)
    made = row("progress", "5", PROMPT, clip=(paths[0], [0, 1] * 8))
    made["frames_shape"] = [16, -1, 2**31 - 1, 3]  # believed by nobody
    model = Predictor.from_checkpoint(checkpoint, "cpu", datasets_root=tmp_path)
    model.frames.form = InputFormat(4096, 4096)
    (answer,) = model.answer([made], 3)
    assert (
        "a clip of fake/frames/trajectory_0.npz must be shown in at most 134217728 pixels, but 16 frames of 4096 x 4"
        in (answer.unreadable)
    )


def test_rows_that_do_not_fit_into_memory_together_are_asked_one_by_one(checkpoint, tmp_path, monkeypatch):
    paths, _ = rows_and_bombs(tmp_path)
    rng = np.random.default_rng(0)
    rows = [progress_row(paths, rng) for _ in range(3)]
    model = Predictor.from_checkpoint(checkpoint, "cpu", datasets_root=tmp_path)
    together, whole = model.answer(rows, 3), Predictor._answer

    def scarce(self, collator, shown, asked, most):
        if len(shown) > 1 or asked[0] is rows[1]:
            raise MemoryError
        return whole(self, collator, shown, asked, most)

    monkeypatch.setattr(Predictor, "_answer", scarce)
    apart = model.answer(rows, 3)
    assert [apart[at].text for at in (0, 2)] == [together[at].text for at in (0, 2)]
    assert apart[1].unreadable == "the row must fit in this machine's memory, but does not"
