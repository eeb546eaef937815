import json
import shutil

import numpy as np
import pytest
from checkpoints import random_checkpoint
from datasets import load_from_disk
from vqa_fakes import fake_dataset, write_frames
from worlds import make_world

from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.evaluation.options import EvaluateOptions
from rfm.export.training_record import write_record
from rfm.files.lock import exclusive
from rfm.generation.generate import GenerateOptions, generate
from rfm.inference.predictor import Prediction, Predictor
from rfm.vqa.dataset import load_dataset
from rfm.vqa.provenance import trajectory_hashes

ROWS = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    make_world(root, "toy_train")
    return make_world(root, "toy_eval", seed=1)


def questions(world, path, *overrides, **changes):
    where = (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.eval_datasets=[toy_eval]")
    overrides = (*where, "data.max_frames=4", "data.sample_type_ratio=[0.5,0.3,0.2]", *overrides)
    made = {"num_samples": ROWS, "partition": "eval", "config_overrides": overrides, **changes}
    return generate(GenerateOptions(output_path=str(path), **made))


@pytest.fixture(scope="module")
def dataset(world, tmp_path_factory):
    no_people = "data.similarity_strategy_ratio=[1,1,0]"
    return questions(world, tmp_path_factory.mktemp("questions") / "held_out", no_people)


@pytest.fixture(scope="module")
def model(dataset, tmp_path_factory):
    """A random model that was trained on other trajectories, by its own account."""
    other = np.array([1, 2, 3], np.uint64)
    return random_checkpoint(tmp_path_factory.mktemp("model") / "final", trained_on=other, max_frames=4)


@pytest.fixture
def evaluate(dataset, model, tmp_path):
    """Run the command; returns its status and what it wrote."""

    def run(*flags, model_path=model, dataset_path=dataset):
        output = tmp_path / "out" / "results.json"
        paths = ("--model_path", model_path, "--dataset_path", dataset_path, "--output_path", output, "--overwrite")
        words = [*map(str, paths), "--device", "cpu", "--batch_size", "20", *flags]
        status = run_command(("evaluate",), words, "rfm evaluate")
        return status, json.loads(output.read_text()) if output.is_file() else None

    return run


def saying(monkeypatch, answer):
    """Let the model say `answer(row)`; everything around it stays as it is."""

    def predict(self, rows, batch_size=1, max_new_tokens=10, *, blank_frames=False, progress=True, label=""):
        return [Prediction("ANS: 1" if blank_frames else answer(row)) for row in rows]

    monkeypatch.setattr(Predictor, "predict", predict)


def test_every_sample_of_a_random_model_is_counted(evaluate, dataset, model):
    status, results = evaluate("--controls", "blank", "--save_predictions")
    assert status == 0
    assert (results["model_path"], results["dataset_path"]) == (str(model), str(dataset))
    assert results["total_samples"] == ROWS
    assert results["sample_types"] == {"preference": 30, "progress": 18, "similarity": 12}
    assert {kind: results[kind]["count"] for kind in results["sample_types"]} == results["sample_types"]
    assert set(results["preference"]) >= {"count", "correct", "accuracy", "accuracy_interval", "unparsed"}
    assert set(results["progress"]) >= {"count", "mae", "rmse", "mae_interval", "unparsed"}
    assert results["unreadable"]["count"] == 0
    assert results["trained_on_share"] == 0
    assert results["decoding"] == {"method": "greedy", "max_new_tokens": 10}
    for numbers in (results["controls"]["blank"], results["best_constant"]):
        assert {kind: numbers[kind]["count"] for kind in results["sample_types"]} == results["sample_types"]
    rows = load_from_disk(str(dataset))
    assert [(one["row"], one["sample_type"], one["answer"]) for one in results["predictions"]] == list(
        zip(range(ROWS), rows["sample_type"], rows["answer"], strict=True)
    )
    assert all(one["unreadable"] is None for one in results["predictions"])


def test_predictions_are_written_unless_they_are_not_wanted(evaluate, monkeypatch):
    saying(monkeypatch, lambda row: "ANS: 1")
    assert "predictions" in evaluate()[1]
    assert "predictions" not in evaluate("--no_save_predictions")[1]


def test_how_much_will_be_asked_is_said_before(evaluate, monkeypatch, caplog):
    saying(monkeypatch, lambda row: "ANS: 1")
    with caplog.at_level("INFO", logger="rfm"):
        results = evaluate("--controls", "blank", "swapped", "floor")[1]
    pairs = results["preference"]["count"] + results["similarity"]["count"]
    told = f" answers {ROWS} questions, and again under 2 controls: {2 * ROWS + pairs} answers in all, 20 at a time"
    assert any(told in line for line in caplog.messages)


def test_a_perfect_model(evaluate, dataset, monkeypatch):
    saying(monkeypatch, lambda row: f"ANS: {row['answer']}")
    status, results = evaluate()
    assert status == 0
    assert (results["preference"]["correct"], results["preference"]["accuracy"]) == (30, 1.0)
    assert results["preference"]["accuracy_interval"] == [1.0, 1.0]
    assert results["similarity"]["accuracy"] == 1.0
    rows = [row for row in load_from_disk(str(dataset)) if row["sample_type"] == "progress"]
    rounding = np.array([int(row["answer"]) - 100 * row["end_progress"] for row in rows])
    assert results["progress"]["mae"] == pytest.approx(np.abs(rounding).mean())
    assert results["progress"]["rmse"] == pytest.approx(np.sqrt((rounding**2).mean()))
    assert 0 < results["progress"]["mae"] <= 0.5


def test_a_model_that_always_says_the_same(evaluate, dataset, monkeypatch):
    saying(monkeypatch, lambda row: "ANS: 50" if row["sample_type"] == "progress" else "ANS: 2")
    results = evaluate()[1]
    assert results["preference"]["accuracy"] == 0.5
    ends = [row["end_progress"] for row in load_from_disk(str(dataset)) if row["sample_type"] == "progress"]
    errors = 50 - 100 * np.array(ends)
    assert results["progress"]["mae"] == pytest.approx(np.abs(errors).mean())
    assert results["progress"]["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert results["best_constant"]["progress"]["mae"] <= results["progress"]["mae"]
    assert results["best_constant"]["progress"]["answer"] == pytest.approx(100 * np.median(ends))


def test_a_model_that_never_answers(evaluate, monkeypatch):
    saying(monkeypatch, lambda row: "Video 1, I think")
    status, results = evaluate()
    assert status == 0
    assert (results["preference"]["accuracy"], results["preference"]["unparsed"]) == (0.0, 30)
    assert (results["progress"]["mae"], results["progress"]["rmse"], results["progress"]["unparsed"]) == (100, 100, 18)
    assert (results["preference"]["count"], results["progress"]["count"]) == (30, 18)


def test_the_control_is_judged_by_itself(evaluate, monkeypatch):
    saying(monkeypatch, lambda row: f"ANS: {row['answer']}")
    results = evaluate("--controls", "blank")[1]
    assert results["preference"]["accuracy"] == 1.0
    assert results["controls"]["blank"]["preference"]["accuracy"] == 0.5


def test_the_results_are_shown(evaluate, monkeypatch, capsys):
    saying(monkeypatch, lambda row: f"ANS: {row['answer']}")
    evaluate("--controls", "blank")
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("60 samples of", "blank frames", "best constant", "by strategy"))


def test_discrete_answers_are_judged_by_level(world, evaluate, tmp_path, monkeypatch):
    path = questions(world, tmp_path / "d", "data.discrete_progress=true", "data.sample_type_ratio=[0,1,0]")
    saying(monkeypatch, lambda row: f"ANS: {row['answer']}")
    results = evaluate(dataset_path=path)[1]
    ends = np.array(load_from_disk(str(path))["end_progress"])
    levels = np.floor(4 * ends + 0.5)
    assert results["progress"]["mae"] == pytest.approx(np.abs(25 * levels - 100 * ends).mean())
    assert results["progress"]["unparsed"] == 0


def test_only_the_first_samples(evaluate, monkeypatch):
    saying(monkeypatch, lambda row: "ANS: 1")
    results = evaluate("--max_samples", "7")[1]
    assert results["total_samples"] == sum(results["sample_types"].values()) == 7
    assert evaluate("--max_samples", "1000")[1]["total_samples"] == ROWS


@pytest.fixture
def damaged(world, dataset, tmp_path, monkeypatch):
    """The same questions where one episode's frames are gone and another's are cut off; returns (dataset, rows hit)."""
    root = tmp_path / "world"
    shutil.copytree(world / "toy_eval", root / "toy_eval")
    (root / "toy_eval" / "frames" / "trajectory_toy_eval_000.npz").unlink()
    (root / "toy_eval" / "frames" / "trajectory_toy_eval_001.npz").write_bytes(b"PK")
    monkeypatch.setenv("RFM_PROCESSED_DATASETS_PATH", str(root))
    names = ("trajectory_id", "first_trajectory_id", "second_trajectory_id", "reference_trajectory_id")
    rows = load_from_disk(str(dataset))
    return sum(any(row[name] in ("toy_eval_000", "toy_eval_001") for name in names) for row in rows)


def test_unreadable_rows_fail_the_run_and_are_counted_by_reason(evaluate, damaged, capsys):
    status, results = evaluate("--max_new_tokens", "1")
    assert status == 1
    shown = capsys.readouterr().err
    assert f"error: {damaged} rows can't be read or judged, more than `max_unreadable` = 0, for example: " in shown
    assert "trajectory_toy_eval_00" in shown
    assert f"--max_unreadable {damaged} accepts these rows" in shown
    unreadable = results["unreadable"]
    assert unreadable["count"] == damaged == sum(unreadable["reasons"].values())
    assert set(unreadable["examples"]) == set(unreadable["reasons"])
    assert len(unreadable["reasons"]) == 2
    readable = sum(results[kind]["count"] for kind in ("preference", "progress", "similarity"))
    assert readable + damaged == results["total_samples"] == ROWS


def test_unreadable_rows_can_be_put_up_with(evaluate, damaged):
    status, results = evaluate("--max_new_tokens", "1", "--max_unreadable", str(damaged), "--save_predictions")
    assert status == 0
    said = [one for one in results["predictions"] if one["unreadable"] is not None]
    assert len(said) == damaged
    assert all(one["completion"] == "" for one in said)


def test_trajectories_that_were_trained_on_are_pointed_out(evaluate, dataset, tmp_path, monkeypatch, caplog):
    saying(monkeypatch, lambda row: "ANS: 1")
    half = trajectory_hashes(load_from_disk(str(dataset)))[::2]
    results = evaluate(model_path=random_checkpoint(tmp_path / "seen", trained_on=half))[1]
    assert results["trained_on_share"] == 0.5
    assert "50% of the trajectories in this dataset were trained on, by the paths of their frames: these" in caplog.text
    assert "--partition eval\n" in caplog.text


def test_sources_that_were_made_anew_since_training_are_named(evaluate, dataset, tmp_path, monkeypatch, caplog):
    saying(monkeypatch, lambda row: "ANS: 1")
    seen = random_checkpoint(tmp_path / "seen", trained_on=trajectory_hashes(load_from_disk(str(dataset))))
    sources = load_dataset(dataset)[1]["source_hashes"]
    write_record(seen, {}, str(dataset), 8, {"source_hashes": dict.fromkeys(sources, "0" * 64) | {"other": "1"}})
    assert evaluate(model_path=seen)[1]["trained_on_share"] == 1
    assert (
        f"--partition eval. The records of {', '.join(sources)} were others in training: if they were made anew"
        in caplog.text
    )


def test_a_model_without_a_record_of_its_training_is_pointed_out(evaluate, tmp_path, monkeypatch, caplog):
    saying(monkeypatch, lambda row: "ANS: 1")
    assert evaluate(model_path=random_checkpoint(tmp_path / "unknown"))[1]["trained_on_share"] is None
    assert "whether the model was trained on these trajectories is not known" in caplog.text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, but is 0"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be at least 1, but is 0"),
        ({"max_samples": 0}, "`max_samples` must be at least 1, but is 0"),
        ({"max_unreadable": -1}, "`max_unreadable` must be at least 0, but is -1"),
        (
            {"controls": ("blank", "dark")},
            "`controls` must be among blank, first_frame, last_frame, shuffled, reversed, frozen_tail, "
            "other_instruction, swapped, floor, all, but one is 'dark'",
        ),
        (
            {"baselines": ("oracle",)},
            "`baselines` must be among constant, random, frame_difference, but one is 'oracle'",
        ),
    ],
)
def test_wrong_options_are_named(changes, text):
    with pytest.raises(ConfigError) as caught:
        EvaluateOptions(model_path="m", dataset_path="d", **changes)
    assert str(caught.value) == text


def test_a_validation_set_has_its_frames_under_its_own_root(evaluate, model, tmp_path):
    """Both sets ask the same questions about the same paths, which are other videos under another root."""
    shown, validation = (fake_dataset(tmp_path / name, 6, episodes=2) for name in ("shown", "validation"))
    write_frames(tmp_path / "validation" / "root", 2, seed=1)
    flags = ("--decoding", "scored", "--calibrate_on", str(validation))
    temperatures = []
    for dataset in (shown, validation):
        status, results = evaluate(*flags, dataset_path=dataset)
        assert status == 0
        temperatures.append({kind: one["temperature"] for kind, one in results["calibration"].items()})
    assert temperatures[0] == temperatures[1]
    status, results = evaluate("--decoding", "scored", "--calibrate_on", str(shown), dataset_path=shown)
    other = {kind: one["temperature"] for kind, one in results["calibration"].items()}
    assert other != temperatures[0]


def test_a_validation_set_that_can_not_be_read_is_named(evaluate, tmp_path, capsys):
    shown, validation = (fake_dataset(tmp_path / name, 3, episodes=2) for name in ("shown", "validation"))
    for file in (tmp_path / "validation" / "root").rglob("*.npz"):
        file.unlink()
    flags = ("--decoding", "scored", "--calibrate_on", str(validation))
    assert evaluate(*flags, dataset_path=shown)[0] == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "error: `calibrate_on` must have readable rows, but 3 of 3 can't be read or judged, more than" in said


def test_two_evaluations_of_one_output_are_refused(evaluate, tmp_path, capsys):
    answers = tmp_path / "out" / "results.json.answers"
    answers.mkdir(parents=True)
    with exclusive(answers, wait=False):
        assert evaluate() == (1, None)
    assert f"{answers} must have one writer at a time, but another process is writing it" in capsys.readouterr().err
    assert evaluate("--max_new_tokens", "1", "--max_samples", "2")[0] == 0
