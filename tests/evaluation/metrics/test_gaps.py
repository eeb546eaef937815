import numpy as np
import pytest

from rfm.evaluation.judge import Sheet
from rfm.evaluation.metrics.gaps import best_control, paired_gap, unpaired_gap

ROWS = 40


def sheet(kind, truth):
    truth = np.array(truth, np.float64)
    nothing = np.array([""] * len(truth))
    return Sheet(
        kind,
        np.arange(len(truth)),
        truth,
        np.arange(len(truth)),
        np.arange(len(truth)),
        {},
        nothing,
        np.full(len(truth), -1),
    )


def test_a_gap_is_positive_where_the_model_is_better():
    pairs = sheet("preference", [1, 2, 1, 2])
    gap = paired_gap(pairs, np.array([1.0, 2, 1, 1]), np.array([1.0, 1, 1, 1]), pairs)
    assert gap["gap"] == 0.25
    scores = sheet("progress", [0, 100])
    gap = paired_gap(scores, np.array([10.0, 90]), np.array([50.0, np.nan]), scores)
    assert gap["gap"] == ((50 - 10) + (100 - 10)) / 2


def test_the_interval_is_that_of_the_difference_not_the_difference_of_intervals():
    rng = np.random.default_rng(0)
    scores = sheet("progress", rng.uniform(0, 100, ROWS))
    model = scores.truth + rng.normal(0, 30, ROWS)
    control = scores.truth + (model - scores.truth) * 1.1  # a little worse on every row
    gap = paired_gap(scores, model, control, scores)
    low, high = gap["gap_interval"]
    assert 0 < low < gap["gap"] < high < 5


def test_the_control_may_have_a_truth_of_its_own():
    pairs = sheet("preference", [1, 2])
    turned = paired_gap(pairs, np.array([1.0, 2]), np.array([2.0, 1]), pairs.flipped())
    assert turned["gap"] == 0


def test_independent_errors_add_up():
    model = {"accuracy": 0.9, "accuracy_interval": (0.87, 0.93)}
    gap = unpaired_gap("preference", model, {"accuracy": 0.5, "accuracy_interval": (0.46, 0.54)})
    assert gap["gap"] == pytest.approx(0.4)
    assert gap["gap_interval"] == pytest.approx((0.35, 0.45))
    alone = unpaired_gap("progress", {"mae": 5, "mae_interval": None}, {"mae": 20, "mae_interval": (10, 30)})
    assert (alone["gap"], alone["gap_interval"]) == (15, None)


def test_the_best_control_is_the_one_the_model_is_least_ahead_of():
    contestants = {
        "blank": {"mae": 30.0, "gap": 20.0, "gap_interval": (10, 30)},
        "last_frame": {"mae": 12.0, "gap": 2.0, "gap_interval": (-1, 5)},
    }
    assert best_control("progress", contestants) == {
        "best_control": "last_frame",
        "metric": "mae",
        "control": 12.0,
        "gap": 2.0,
        "gap_interval": (-1, 5),
    }
