"""Cross-validation over episodes: folds are drawn, judged each by its own model, and pooled."""

import json

import numpy as np
import pytest
from checkpoints import random_checkpoint
from datasets import load_from_disk
from films import episode, film, write_episodes
from worlds import make_world

from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.evaluation.folds import fold_options, pooled
from rfm.evaluation.options import EvaluateOptions
from rfm.vqa.provenance import trajectory_hashes

FOLDS, ROWS = 3, 90


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Twelve episodes in three folds, and a model of each fold that is random."""
    folder = tmp_path_factory.mktemp("folds")
    root = make_world(folder, "toy_train", episodes=12, tasks=2)
    words = f"--folds {FOLDS} --num_samples {ROWS} --output_path {folder / 'datasets'} --config_overrides"
    settings = [f"data.datasets_root={root}", "data.train_datasets=toy_train", "data.max_frames=4"]
    assert run_command(("generate",), [*words.split(), *settings, "data.sample_type_ratio=1,1,0"], "rfm generate") == 0
    for number in range(1, FOLDS + 1):
        seen = trajectory_hashes(load_from_disk(str(folder / "datasets" / f"fold_{number}" / "train")))
        random_checkpoint(folder / f"outputs_{number}" / "final", trained_on=seen)
    return folder


def shown(path):
    rows = load_from_disk(str(path))
    names = [name for name in rows.column_names if name.endswith("trajectory_id")]
    return {one for name in names for one in rows[name] if one}


def test_each_episode_is_judged_on_in_one_fold_and_trained_on_in_all_others(folds):
    tests = [shown(folds / "datasets" / f"fold_{n}" / "test") for n in range(1, FOLDS + 1)]
    trains = [shown(folds / "datasets" / f"fold_{n}" / "train") for n in range(1, FOLDS + 1)]
    assert all(not test & train for test, train in zip(tests, trains, strict=True))
    assert sum(map(len, tests)) == len(set.union(*tests))
    assert set.union(*tests) <= set.union(*trains)
    sizes = [len(load_from_disk(str(folds / "datasets" / f"fold_{n}" / "test"))) for n in range(1, FOLDS + 1)]
    assert sizes == [ROWS // FOLDS] * FOLDS


def test_pooled_results_are_those_of_all_rows(folds, tmp_path):
    output = tmp_path / "all.json"
    words = (
        f"--model_path {folds}/outputs_{{fold}}/final --dataset_path {folds}/datasets/fold_{{fold}}/test --device cpu"
    )
    assert run_command(("evaluate",), [*words.split(), "--output_path", str(output)], "rfm evaluate") == 0
    pooled = json.loads(output.read_text())
    each = [json.loads((tmp_path / f"all.fold_{n}.json").read_text()) for n in range(1, FOLDS + 1)]
    assert pooled["total_samples"] == ROWS
    assert list(pooled["folds"]) == ["1", "2", "3"]
    assert pooled["trained_on_share"] == 0.0
    correct = sum(one["preference"]["correct"] for one in each)
    assert pooled["preference"]["correct"] == correct
    assert pooled["preference"]["count"] == sum(one["preference"]["count"] for one in each)
    mae = np.average([one["progress"]["mae"] for one in each], weights=[one["progress"]["count"] for one in each])
    assert pooled["progress"]["mae"] == pytest.approx(mae)
    assert pooled["progress"]["episodes"] == sum(one["progress"]["episodes"] for one in each) > 6
    low, high = pooled["progress"]["mae_interval"]
    assert low <= pooled["progress"]["mae"] <= high


def test_a_fold_of_nothing_to_ask_about_is_left_out(tmp_path, caplog):
    """Two successes in three folds: the one without supports no question, and the others have each other's."""
    rows = [
        episode(tmp_path, "toy", f"e{at}", film(at), quality_label="successful" if at < 2 else None) for at in range(6)
    ]
    write_episodes(tmp_path, "toy", rows)
    words = f"--folds 3 --num_samples 60 --output_path {tmp_path / 'datasets'} --config_overrides"
    settings = [f"data.datasets_root={tmp_path}", "data.train_datasets=toy", "data.max_frames=4"]
    status = run_command(("generate",), [*words.split(), *settings, "data.sample_type_ratio=0,1,0"], "rfm generate")
    told = [line for line in caplog.messages if "is judged on by no question, take fewer folds: " in line]
    assert (status, len(told)) == (0, 1)
    assert len(list((tmp_path / "datasets").glob("fold_*/train/state.json"))) == 3
    assert len(list((tmp_path / "datasets").glob("fold_*/test/state.json"))) == 2


def judged(share, mismatch):
    row = {"sample_type": "preference", "truth": 1.0, "predicted": 1.0, "trajectory": 0, "strategy": "s", "task": "t"}
    return {
        "total_samples": 1,
        "sample_types": {"preference": 1},
        "predictions": [row],
        "unreadable": {"count": 0, "reasons": {}, "examples": {}},
        "trained_on_share": share,
        "input_mismatch": mismatch,
    }


@pytest.mark.parametrize(
    ("shares", "pooled_share"), [((0.0, 0.0), 0.0), ((0.0, 0.5), 0.5), ((None, 0.5), 0.5), ((None, 0.0), None)]
)
def test_what_one_fold_does_not_know_is_not_said_of_all(shares, pooled_share):
    differs = {"max_frames": {"trained": 4, "asked": 8}}
    folds = {str(at): judged(share, None if share is None else {}) for at, share in enumerate(shares)}
    results = pooled(EvaluateOptions(model_path="m", dataset_path="d/{fold}"), folds)
    assert results["trained_on_share"] == pooled_share
    assert results["input_mismatch"] == (None if None in shares else {})
    folds["0"]["input_mismatch"] = differs
    assert pooled(EvaluateOptions(model_path="m", dataset_path="d/{fold}"), folds)["input_mismatch"] == differs


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model_path": "m/{fold}", "dataset_path": "d"}, "`dataset_path` must hold {fold} once, as `model_path` may"),
        ({"dataset_path": "nowhere/{fold}/test"}, "make them with rfm generate --folds 5"),
        ({"save_predictions": False}, "`save_predictions` must be on for folds"),
    ],
)
def test_what_is_wrong_is_said(changes, text):
    with pytest.raises(ConfigError) as caught:
        fold_options(EvaluateOptions(**{"model_path": "m", "dataset_path": "d/{fold}", **changes}))
    assert text in str(caught.value)
