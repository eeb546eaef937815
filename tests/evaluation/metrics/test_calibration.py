import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from rfm.evaluation.metrics.calibration import (
    at_temperature,
    calibration_metrics,
    event_calibration,
    fit_temperature,
    negative_log_likelihood,
)

EVENTS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


def groups(count):
    return np.arange(count)


def test_by_hand():
    # bin 0.2 to 0.3: predicted 0.2, 0.25, one of two happened; bin 0.9 to 1: 1, happened
    numbers = event_calibration(np.array([0.2, 0.25, 1.0]), np.array([0.0, 1.0, 1.0]), groups(3))
    assert numbers["ece"] == pytest.approx((2 * abs(0.225 - 0.5) + 0) / 3)
    assert numbers["brier"] == pytest.approx((0.04 + 0.5625 + 0) / 3)
    assert [(one["from"], one["count"], one["observed"]) for one in numbers["reliability"]] == [
        (0.2, 2, 0.5),
        (0.9, 1, 1),
    ]


@given(EVENTS)
def test_brier_and_bins_as_scikit_learn_has_them(events):
    predicted, observed = np.array(events, np.float64).T
    numbers = event_calibration(predicted, observed, groups(len(events)))
    assert numbers["brier"] == pytest.approx(brier_score_loss(observed, predicted, pos_label=1))
    assert 0 <= numbers["ece"] <= 1
    assert sum(one["count"] for one in numbers["reliability"]) == len(events) == numbers["events"]


def test_reliability_as_scikit_learn_has_it():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(size=500)
    observed = (rng.uniform(size=500) < predicted**2).astype(float)
    reliability = event_calibration(predicted, observed, groups(500))["reliability"]
    happened, expected = calibration_curve(observed, predicted, n_bins=10)
    assert [one["observed"] for one in reliability] == pytest.approx(happened)
    assert [one["predicted"] for one in reliability] == pytest.approx(expected)


def test_certain_and_right_certain_and_wrong_and_the_base_rate():
    truth = np.array([0.0, 1.0, 1.0, 0.0])
    assert event_calibration(truth, truth, groups(4))["ece"] == 0
    assert event_calibration(1 - truth, truth, groups(4))["ece"] == 1
    assert event_calibration(np.full(4, 0.5), truth, groups(4))["ece"] == 0


def test_probabilities_drawn_at_random_are_a_quarter_off():
    rng = np.random.default_rng(0)
    numbers = event_calibration(rng.uniform(size=5000), rng.integers(0, 2, 5000).astype(float), groups(5000))
    assert numbers["ece"] == pytest.approx(0.25, abs=0.02)
    low, high = numbers["ece_interval"]
    assert low < 0.25 < high


def test_a_calibrated_model_has_little_error_and_an_overconfident_one_more():
    rng = np.random.default_rng(1)
    sure = rng.uniform(size=5000)
    happened = (rng.uniform(size=5000) < sure).astype(float)
    assert event_calibration(sure, happened, groups(5000))["ece"] < 0.04
    sharp = at_temperature(np.stack([sure, 1 - sure], axis=1), 0.25)[:, 0]
    assert event_calibration(sharp, happened, groups(5000))["ece"] > 0.1


def test_the_events_of_a_distribution():
    answers = np.arange(101.0)
    certain = np.zeros((2, 101))
    certain[[0, 1], [30, 100]] = 1
    thresholds = np.arange(10.0, 101, 10)
    right = calibration_metrics(certain, np.array([30, 100]), groups(2), thresholds, answers)
    assert (right["rows"], right["events"], right["ece"], right["brier"], right["nll"]) == (2, 20, 0, 0, 0)
    wrong = calibration_metrics(certain, np.array([50, 100]), groups(2), thresholds, answers)
    assert wrong["brier"] == pytest.approx(2 / 20)  # "at least 40" and "at least 50"
    assert wrong["nll"] == pytest.approx(-np.log(1e-12) / 2)
    uniform = calibration_metrics(np.full((2, 101), 1 / 101), np.array([30, 100]), groups(2), thresholds, answers)
    assert uniform["nll"] == pytest.approx(np.log(101))


def test_nothing():
    numbers = calibration_metrics(np.empty((0, 2)), np.empty(0, int), groups(0), np.array([2.0]), np.array([1.0, 2.0]))
    assert (numbers["rows"], numbers["ece"], numbers["ece_interval"], numbers["nll"]) == (0, None, None, None)
    assert numbers["reliability"] == []
    assert fit_temperature(np.empty((0, 2)), np.empty(0, int)) == 1


def test_the_likelihood_as_scikit_learn_has_it():
    rng = np.random.default_rng(2)
    probability, right = rng.dirichlet(np.ones(5), 50), rng.integers(0, 5, 50)
    expected = log_loss(right, probability, labels=range(5))
    assert negative_log_likelihood(probability, right).mean() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoilt_calibration_is_found_again(temperature):
    rng = np.random.default_rng(3)
    honest = rng.dirichlet(np.full(5, 0.7), 5000)
    right = (rng.uniform(size=(5000, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    spoilt = at_temperature(honest, 1 / temperature)
    assert fit_temperature(spoilt, right) == pytest.approx(temperature, rel=0.1)
    mended = at_temperature(spoilt, temperature)
    assert mended == pytest.approx(honest, abs=1e-6)


def test_the_temperature_of_two_answers_is_a_logistic_regression():
    rng = np.random.default_rng(4)
    logit = rng.normal(0, 3, 2000)
    right = (rng.uniform(size=2000) < 1 / (1 + np.exp(-0.6 * logit))).astype(int)
    probability = np.stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))], axis=1)
    fitted = LogisticRegression(C=1e6, fit_intercept=False).fit(logit[:, None], right).coef_[0, 0]
    assert fit_temperature(probability, right) == pytest.approx(1 / fitted, rel=1e-3)


def test_temperatures_are_bounded():
    certain, sure = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.6, 0.4], [0.4, 0.6]])
    assert 0.05 <= fit_temperature(sure, np.array([0, 1])) < 0.06
    assert fit_temperature(certain, np.array([1, 0])) == pytest.approx(20, rel=0.01)
