"""Ten kinds of broken rows: each is counted under a reason of its own, and the numbers of the good rows don't move."""

import json

import numpy as np
import pytest
from checkpoints import random_checkpoint
from datasets import Dataset
from vqa_fakes import FEATURES, PROGRESS_PROMPT, preference_row, progress_row, row, write_frames

from rfm.cli import run_command

GOOD = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    paths = write_frames(folder, 4)
    whole = (folder / paths[0]).read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(folder / "pickled.npz", frames=np.array([{"frame": 1}, None], dtype=object))
    np.savez(folder / "floats.npz", frames=np.zeros((16, 32, 32, 3), np.float32))
    return folder, paths


def good_rows(paths):
    rng = np.random.default_rng(0)
    return [(preference_row if index % 2 else progress_row)(paths, rng) for index in range(GOOD)]


def asked(path, indices=(0, 1), answer="50", **changes):
    made = row("progress", answer, PROGRESS_PROMPT.format(task="push"), clip=(path, list(indices)))
    return {**made, **changes}


def broken(paths):
    old_pair = {**preference_row(paths, np.random.default_rng(1)), "first_npz_path": None}
    return {
        "frames file … must exist": asked("fake/frames/gone.npz"),
        "zip": asked("cut.npz"),
        "is a pickled array": asked("pickled.npz"),
        "must be uint8, but is float": asked("floats.npz"),
        "`frame_indices[…]` must be < …": asked(paths[1], (0, 16)),
        "`answer` must be a whole number": asked(paths[1], answer="nan"),
        "`frame_indices` must name frames": asked(paths[1], frame_indices=None),
        "`first_npz_path` must name frames": old_pair,
        "must lie under the datasets root": asked("../outside.npz"),
    }


def evaluate(tmp_path, model, root, rows, *flags, columns=None):
    folder = tmp_path / "vqa"
    dataset = Dataset.from_dict({name: [one[name] for one in rows] for name in FEATURES}, features=FEATURES)
    (dataset if columns is None else dataset.select_columns(columns)).save_to_disk(str(folder))
    output = tmp_path / "results.json"
    words = ["--model_path", model, "--dataset_path", folder, "--output_path", output, "--datasets_root", root]
    words.append("--overwrite")
    words += ["--device", "cpu", "--batch_size", "4", "--save_predictions", "--controls", "shuffled", *flags]
    status = run_command(("evaluate",), [str(word) for word in words], "rfm evaluate")
    return status, json.loads(output.read_text()) if output.is_file() else None


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return random_checkpoint(tmp_path_factory.mktemp("model") / "final")


@pytest.mark.parametrize("model", ["tiny", "frame_difference"])
def test_nothing_vanishes(root, tiny, tmp_path, model, capsys):
    folder, paths = root
    model = tiny if model == "tiny" else model
    faults = broken(paths)
    good = good_rows(paths)
    (tmp_path / "alone").mkdir()
    _, alone = evaluate(tmp_path / "alone", model, folder, good)
    mixed = [part for pair in zip(good, [*faults.values(), *[None] * GOOD], strict=False) for part in pair if part]
    status, results = evaluate(tmp_path, model, folder, mixed)
    assert status == 1
    assert f"--max_unreadable {len(faults)} accepts these rows" in capsys.readouterr().err
    unreadable = results["unreadable"]
    assert (unreadable["count"], results["total_samples"]) == (len(faults), GOOD + len(faults))
    reasons = unreadable["reasons"]
    assert list(reasons.values()) == [1] * len(faults)
    for part in faults:
        assert sum(part in reason for reason in reasons) == 1, (part, reasons)
    for name in ("preference", "progress", "gap", "controls", "best_constant", "five_levels"):
        assert results[name] == alone[name], name
    assert sum(one["unreadable"] is not None for one in results["predictions"]) == len(faults)
    (tmp_path / "accepted").mkdir()
    assert evaluate(tmp_path / "accepted", model, folder, mixed, "--max_unreadable", "9")[0] == 0


def test_absent_columns_are_a_reason_for_every_row_that_needs_them(root, tiny, tmp_path):
    folder, paths = root
    old = ["sample_type", "prompt", "answer", "npz_path", "frame_indices"]
    status, results = evaluate(tmp_path, tiny, folder, good_rows(paths), columns=old)
    assert status == 1
    assert list(results["unreadable"]["reasons"].values()) == [GOOD // 2]
    assert "`first_npz_path` must name frames, but is None" in next(iter(results["unreadable"]["reasons"]))
    assert results["progress"]["count"] == GOOD // 2


def test_a_dataset_without_rows_or_basic_columns_is_refused(root, tiny, tmp_path, capsys):
    folder, paths = root
    assert evaluate(tmp_path, tiny, folder, [], columns=None) == (1, None)
    assert "`dataset_path` must have rows, but" in capsys.readouterr().err
    assert evaluate(tmp_path, tiny, folder, good_rows(paths), columns=["prompt", "npz_path"]) == (1, None)
    assert "`dataset_path` must have the columns sample_type, prompt, answer, but" in capsys.readouterr().err


def test_rows_that_are_all_broken_give_a_result_without_metrics(root, tiny, tmp_path):
    folder, _ = root
    status, results = evaluate(tmp_path, tiny, folder, [asked("gone.npz")] * 3, "--max_unreadable", "3")
    assert status == 0
    assert results["unreadable"]["count"] == 3
    assert "progress" not in results
    assert results["gap"] == {}
