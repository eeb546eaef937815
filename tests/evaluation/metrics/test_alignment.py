import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from rfm.evaluation.metrics.alignment import alignment_metrics, correlate

SCORES = st.integers(0, 100)


def array(*values):
    return np.array(values, np.float64)


def test_a_perfect_score_has_correlation_one_and_its_reverse_minus_one():
    truth = array(0, 20, 50, 90)
    assert correlate(truth, truth) == pytest.approx((1, 1))
    assert correlate(100 - truth, truth) == pytest.approx((-1, -1))


def test_an_order_that_is_right_but_not_linear():
    pearson, spearman = correlate(array(0, 1, 10, 100), array(0, 1, 2, 3))
    assert spearman == pytest.approx(1)
    assert pearson == pytest.approx(pearsonr([0, 1, 10, 100], [0, 1, 2, 3]).statistic)
    assert pearson < 0.9


def test_ties_by_hand():
    # ranks 1.5, 1.5, 3, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5
    assert correlate(array(10, 10, 20, 30), array(1, 2, 3, 4))[1] == pytest.approx(4.5 / np.sqrt(4.5 * 5))


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=12))
def test_as_scipy_has_it(pairs):
    predicted, target = np.array(pairs, np.float64).T
    if np.ptp(predicted) == 0 or np.ptp(target) == 0:
        assert np.isnan(correlate(predicted, target)).all()
    else:
        expected = pearsonr(predicted, target).statistic, spearmanr(predicted, target).statistic
        assert correlate(predicted, target) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=12), st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter_nor_does_an_offset(pairs, order):
    predicted, target = np.array(pairs, np.float64).T
    order = [at for at in order if at < len(pairs)]
    assert correlate(predicted[order], target[order]) == pytest.approx(correlate(predicted, target), nan_ok=True)
    assert correlate(2 * predicted + 7, target) == pytest.approx(correlate(predicted, target), nan_ok=True)


def test_undefined_counts_as_zero_and_is_counted():
    # a perfect trajectory, a constant score, constant progress, a single prefix
    group = np.array(["a", "a", "b", "b", "c", "c", "d"])
    metrics = alignment_metrics(array(1, 2, 5, 5, 1, 2, 3), array(10, 20, 10, 20, 50, 50, 7), group)
    assert (metrics["trajectories"], metrics["undefined"], metrics["unparsed"]) == (4, 3, 0)
    assert metrics["pearson"] == metrics["spearman"] == pytest.approx(0.25)
    low, high = metrics["spearman_interval"]
    assert 0 <= low <= 0.25 <= high <= 1


def test_a_trajectory_with_an_unparsed_answer_counts_as_zero():
    metrics = alignment_metrics(array(1, np.nan, 3, 1, 2), array(1, 2, 3, 1, 2), np.array([0, 0, 0, 1, 1]))
    assert (metrics["spearman"], metrics["unparsed"], metrics["undefined"]) == (0.5, 1, 1)


def test_nothing_and_one():
    nothing = alignment_metrics(np.empty(0), np.empty(0), np.empty(0, int))
    assert (nothing["trajectories"], nothing["pearson"], nothing["pearson_interval"]) == (0, None, None)
    one = alignment_metrics(array(1, 2), array(3, 4), np.array([0, 0]))
    assert (one["trajectories"], one["pearson"], one["pearson_interval"]) == (1, pytest.approx(1.0), None)


def test_random_scores_have_none_on_average():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(400), 8)
    metrics = alignment_metrics(rng.uniform(0, 100, 3200), np.tile(np.arange(8.0), 400), group)
    low, high = metrics["pearson_interval"]
    assert low < 0 < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(7 * 400), rel=0.15)  # the variance of r is 1 / (p - 1)
