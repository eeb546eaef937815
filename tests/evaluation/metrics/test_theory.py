"""A perfect, a constant and a random predictor through the whole command, beside what theory says of them."""

import json

import numpy as np
import pytest
from datasets import concatenate_datasets, load_from_disk
from scipy.stats import kendalltau, spearmanr

from rfm.cli import run_command
from rfm.evaluation import evaluate as module
from rfm.evaluation.metrics.levels import level_of
from rfm.evaluation.rivals.controls import CONTROLS
from rfm.generation.generate import GenerateOptions, generate
from rfm.inference.engines.engine import Engine
from rfm.inference.prediction import Prediction
from rfm.ingest.bundled import bundled_root
from rfm.vqa.answers import valid_answers, write_answer

SETS = {"prefixes": 240, "ranking": 150, "confusion": 225, "instruction": 120, "quality": 150}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """All evaluation sets and some ordinary questions, one after the other."""
    folder = tmp_path_factory.mktemp("theory")
    overrides = ("data.max_frames=2",)
    made = {"config_overrides": overrides, "partition": "eval", "num_workers": 1}
    paths = [
        generate(GenerateOptions(output_path=str(folder / name), eval_set=name, num_samples=rows, **made))
        for name, rows in SETS.items()
    ]
    paths.append(generate(GenerateOptions(output_path=str(folder / "mixture"), num_samples=200, **made)))
    concatenate_datasets([load_from_disk(str(path)) for path in paths]).save_to_disk(str(folder / "all"))
    return folder / "all"


@pytest.fixture(scope="module")
def truth(dataset):
    rows = load_from_disk(str(dataset)).to_pandas()
    progress = rows[rows.sample_type == "progress"].copy()
    progress["target"] = 100 * progress.end_progress.astype(float)
    return rows, progress


class Oracle(Engine):
    """Knows the answers, and is as sure of them as `sure` says; the rest is spread evenly over all answers."""

    def __init__(self, sure=1.0):
        self.sure = sure

    def identity(self):
        return {"model": f"oracle {self.sure}"}

    def answer(self, rows, max_new_tokens, *, blank_frames=False):
        return [self._one(row) for row in rows]

    def _one(self, row):
        valid = valid_answers(row["sample_type"])
        probability = np.full(len(valid), (1 - self.sure) / len(valid))
        probability[valid.index(int(row["answer"]))] += self.sure
        return Prediction(write_answer(row["answer"]), probabilities=tuple(probability.tolist()))


@pytest.fixture(scope="module")
def evaluate(dataset, tmp_path_factory):
    everything = dataset

    def run(model, *flags, engine=None, dataset=everything):
        output = tmp_path_factory.mktemp("results") / "results.json"
        words = ["--model_path", model, "--dataset_path", dataset, "--output_path", output]
        words += ["--batch_size", 64, "--datasets_root", bundled_root(), "--device", "cpu", *flags]
        with pytest.MonkeyPatch.context() as patch:
            if engine is not None:
                patch.setattr(module, "open_engine", lambda options, exam: engine)
            assert run_command(("evaluate",), [str(word) for word in words], "rfm evaluate") == 0
        return json.loads(output.read_text())

    return run


@pytest.fixture(scope="module")
def perfect(evaluate):
    return evaluate("oracle", engine=Oracle())


def test_a_perfect_predictor(perfect, truth):
    _, progress = truth
    results = perfect
    assert results["preference"]["accuracy"] == 1
    rounding = np.abs(progress.answer.astype(float) - progress.target)
    assert results["progress"]["mae"] == pytest.approx(rounding.mean(), abs=1e-5)
    assert results["progress"]["mae"] <= 0.5
    assert results["progress"]["rmse"] == pytest.approx(np.sqrt((rounding**2).mean()), abs=1e-5)
    prefixes = progress[(progress.data_gen_strategy == "prefixes") & (progress.quality_label == "successful")]
    expected = [
        spearmanr(part.answer.astype(float), part.target).statistic for _, part in prefixes.groupby("trajectory_id")
    ]
    alignment = results["reward_alignment"]
    assert alignment["trajectories"] == len(expected)
    assert alignment["spearman"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert alignment["spearman"] > 0.99
    assert alignment["pearson"] > 0.999
    ranking = results["policy_ranking"]
    assert (ranking["tau_a"], ranking["pair_accuracy"], ranking["tasks"]) == (1, 1, 15)
    assert ranking["tau_a_interval"] == [1, 1]
    confusion = results["instruction_confusion"]
    assert (confusion["diagonal"], confusion["other_scene"]["score"]) == (100, 0)
    assert confusion["same_scene"]["score"] == pytest.approx(confusion["same_scene"]["known"], abs=0.5)
    assert confusion["same_scene_gap"] == pytest.approx(confusion["same_scene_gap_known"], abs=0.5)
    assert confusion["same_scene_gap"] > 80
    following = results["instruction_following"]
    assert (following["pair_accuracy"], following["followed"]) == (1, pytest.approx(1, abs=0.01))
    assert results["quality_preference"]["accuracy"] == 1
    labels = {part["accuracy"] for part in results["quality_preference"]["by_label_pair"].values()}
    assert labels == {1}
    assert {"successful > suboptimal", "successful > failure", "suboptimal > failure"} <= set(
        results["quality_preference"]["by_label_pair"]
    )
    assert results["five_levels"]["micro_mae"] < 0.01
    for kind in ("preference", "progress"):
        calibration = results["calibration"][kind]
        assert (calibration["ece"], calibration["brier"]) == pytest.approx((0, 0), abs=1e-12)
        assert calibration["nll"] == pytest.approx(0, abs=1e-12)
    assert results["progress"]["other_answers"]["mean"]["mae"] == pytest.approx(results["progress"]["mae"])
    assert results["not_computed"] == {}
    assert results["gap"]["preference"]["gap"] == 1 - results["best_constant"]["preference"]["accuracy"]


def test_tau_b_of_a_perfect_predictor_is_lowered_by_equals_as_scipy_says(perfect, truth):
    _, progress = truth
    ranking = progress[progress.data_gen_strategy == "ranking"].copy()
    order = ["failure", "suboptimal", "successful"]
    ranking["place"] = ranking.quality_label.map(order.index)
    ranking["task_name"] = ranking.trajectory_id.str.replace(r"_\d+$", "", regex=True)
    expected = [kendalltau(part.answer.astype(int), part.place).statistic for _, part in ranking.groupby("task_name")]
    found = perfect["policy_ranking"]["tau_b"]
    assert found == pytest.approx(np.mean(expected))
    assert found < 1


def test_a_constant_predictor(evaluate, truth):
    rows, progress = truth
    results = evaluate("constant")
    pairs = rows[rows.sample_type == "preference"]
    assert results["preference"]["accuracy"] == pytest.approx((pairs.answer == "1").mean())
    assert results["progress"]["mae"] == pytest.approx(np.abs(50 - progress.target).mean(), abs=1e-5)
    alignment = results["reward_alignment"]
    assert (alignment["pearson"], alignment["spearman"]) == (0, 0)
    assert alignment["undefined"] == alignment["trajectories"] == 10
    ranking = results["policy_ranking"]
    assert (ranking["tau_a"], ranking["tau_b"], ranking["pair_accuracy"]) == (0, 0, 0.5)
    assert results["instruction_confusion"]["gap"] == 0
    following = results["instruction_following"]
    assert (following["pair_accuracy"], following["followed"], following["same_scene_gap"]) == (0.5, 0, 0)
    assert results["quality_preference"]["accuracy"] == 0.5
    levels = level_of(progress.target.to_numpy())
    assert results["five_levels"]["micro_mae"] == pytest.approx(np.abs(3 - levels).mean())
    assert results["gap"]["progress"]["gap"] <= 0
    assert "calibration" in results["not_computed"]


def test_a_random_predictor(evaluate, truth):
    _, progress = truth
    results = evaluate("random")
    within = 4
    count = results["preference"]["count"]
    assert results["preference"]["accuracy"] == pytest.approx(0.5, abs=within * 0.5 / np.sqrt(count))
    distances = np.abs(np.arange(101) - progress.target.to_numpy()[:, None])
    expected, spread = distances.mean(), np.sqrt(distances.var(axis=1).mean() / len(progress))
    assert results["progress"]["mae"] == pytest.approx(expected, abs=within * spread)
    alignment = results["reward_alignment"]
    assert alignment["pearson"] == pytest.approx(0, abs=within / np.sqrt(7 * alignment["trajectories"]))
    ranking = results["policy_ranking"]
    for name, chance in (("tau_a", 0), ("tau_b", 0), ("pair_accuracy", 0.5)):
        low, high = ranking[f"{name}_interval"]
        assert abs(ranking[name] - chance) < high - low
    confusion = results["instruction_confusion"]
    spread = 29.2 * np.sqrt(1 / confusion["videos"] + 1 / (confusion["count"] - confusion["videos"]))
    assert confusion["gap"] == pytest.approx(0, abs=within * spread)
    levels = np.abs(level_of(np.arange(101.0)) - level_of(progress.target.to_numpy())[:, None])
    assert results["five_levels"]["micro_mae"] == pytest.approx(
        levels.mean(), abs=within * 1.2 / np.sqrt(len(progress))
    )
    quality = results["quality_preference"]
    assert quality["accuracy"] == pytest.approx(0.5, abs=within * 0.5 / np.sqrt(quality["count"]))


def test_a_predictor_that_is_too_modest_is_told_so_and_mended(evaluate, dataset):
    results = evaluate("oracle", "--calibrate_on", dataset, engine=Oracle(sure=0.6))
    for kind, expected in (("preference", 0.2), ("progress", None)):
        calibration = results["calibration"][kind]
        if expected is not None:  # says 0.8 of what is always so
            assert calibration["ece"] == pytest.approx(expected)
            assert calibration["nll"] == pytest.approx(-np.log(0.8))
        assert calibration["temperature"] < 0.2
        assert calibration["at_temperature"]["ece"] < 0.01 < calibration["ece"]


def test_controls_of_an_oracle_that_needs_no_video(evaluate):
    """It reads the answer from the row: only `swapped`, which rewrites the answer, changes what it says."""
    results = evaluate("oracle", "--controls", *CONTROLS, "--baselines", "constant", engine=Oracle())
    controls = results["controls"]
    for name in ("blank", "first_frame", "last_frame", "shuffled", "reversed", "frozen_tail", "other_instruction"):
        assert controls[name]["preference"]["gap"] == 0
        if name != "frozen_tail":  # which makes clips from one frame equal, and equal questions are asked once
            assert controls[name]["progress"]["gap"] == 0
    swapped = controls["swapped"]
    assert (swapped["preference"]["accuracy"], swapped["preference"]["consistent"]) == (1, 1)
    assert "progress" not in swapped
    assert results["gap"]["preference"]["gap"] == 0
    assert results["baselines"]["constant"]["preference"]["gap"] == pytest.approx(0.5, abs=0.01)


def test_the_floor_of_questions_that_hide_the_answer_is_at_chance(evaluate, tmp_path):
    overrides = ("data.max_frames=2", "data.sample_type_ratio=[1,0,0]")
    path = tmp_path / "pairs"
    made = {"num_samples": 800, "config_overrides": overrides, "partition": "eval", "num_workers": 1}
    generate(GenerateOptions(output_path=str(path), **made))
    floor = evaluate("oracle", "--controls", "floor", engine=Oracle(), dataset=path)["controls"]["floor"]["preference"]
    low, high = floor["accuracy_interval"]
    assert low < 0.55
    assert high > 0.45
    assert floor["gap"] == pytest.approx(1 - floor["accuracy"])
    assert floor["gap_interval"] == pytest.approx([1 - high, 1 - low])


def test_a_temperature_needs_probabilities(dataset, tmp_path, capsys):
    words = ["--model_path", "constant", "--dataset_path", dataset, "--output_path", tmp_path / "r.json"]
    words += ["--calibrate_on", dataset, "--max_samples", 5, "--datasets_root", bundled_root()]
    assert run_command(("evaluate",), [str(word) for word in words], "rfm evaluate") == 1
    assert "error: `calibrate_on` needs probabilities" in capsys.readouterr().err
