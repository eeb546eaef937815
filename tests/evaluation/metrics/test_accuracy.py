import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, mean_absolute_error, mean_squared_error

from rfm.evaluation.metrics.accuracy import (
    best_constant_answer,
    best_constant_score,
    by_group,
    interval,
    preference_metrics,
    progress_metrics,
)

NAN = float("nan")
SCORES = st.floats(0, 100, allow_nan=False)


def array(*values):
    return np.array(values, np.float64)


def groups(n):
    return np.arange(n)


def test_preference_by_hand():
    metrics = preference_metrics(array(1, 2, 2, NAN), array(1, 2, 1, 1), groups(4))
    assert {name: metrics[name] for name in ("count", "correct", "accuracy", "unparsed")} == {
        "count": 4,
        "correct": 2,
        "accuracy": 0.5,
        "unparsed": 1,
    }


def test_progress_by_hand():
    metrics = progress_metrics(array(10, 50, 100, NAN), array(13, 50, 96, 60), groups(4))
    assert (metrics["count"], metrics["unparsed"]) == (4, 1)
    assert metrics["mae"] == (3 + 0 + 4 + 100) / 4
    assert metrics["rmse"] == pytest.approx(np.sqrt((9 + 0 + 16 + 10000) / 4))


def test_an_unparsed_answer_is_an_error_of_100_whatever_the_target():
    assert progress_metrics(array(NAN), array(100.0), groups(1))["mae"] == 100
    assert progress_metrics(array(NAN), array(0.0), groups(1))["mae"] == 100


@given(st.lists(st.tuples(SCORES, SCORES), min_size=1))
def test_progress_as_scikit_learn_has_it(pairs):
    predicted, target = np.array(pairs).T
    metrics = progress_metrics(predicted, target, groups(len(pairs)))
    assert metrics["mae"] == pytest.approx(mean_absolute_error(target, predicted))
    assert metrics["rmse"] == pytest.approx(np.sqrt(mean_squared_error(target, predicted)))


@given(st.lists(st.tuples(st.sampled_from([1, 2, NAN]), st.sampled_from([1, 2])), min_size=1))
def test_accuracy_as_scikit_learn_has_it(pairs):
    predicted, answer = np.array(pairs, np.float64).T
    expected = accuracy_score(answer, np.nan_to_num(predicted, nan=-1.0))
    assert preference_metrics(predicted, answer, groups(len(pairs)))["accuracy"] == pytest.approx(expected)


def test_no_rows_have_no_mean():
    nothing = np.empty(0)
    assert preference_metrics(nothing, nothing, groups(0)) == {
        "count": 0,
        "episodes": 0,
        "correct": 0,
        "accuracy": None,
        "accuracy_interval": None,
        "unparsed": 0,
    }
    metrics = progress_metrics(nothing, nothing, groups(0))
    assert (metrics["count"], metrics["mae"], metrics["rmse"], metrics["mae_interval"]) == (0, None, None, None)


def test_one_row_has_a_mean_and_no_interval():
    metrics = progress_metrics(array(30), array(40), groups(1))
    assert (metrics["mae"], metrics["rmse"], metrics["mae_interval"]) == (10, 10, None)
    assert preference_metrics(array(2), array(2), groups(1))["accuracy_interval"] is None


def test_one_trajectory_has_no_interval_however_many_rows_it_has():
    assert interval(np.arange(100.0), np.zeros(100, np.int64)) is None


@given(st.lists(SCORES, min_size=2, max_size=40), st.integers(1, 5), st.integers(0, 9))
def test_an_interval_lies_within_the_values(values, rows_each, seed):
    group = np.arange(len(values)) // rows_each
    bounds = interval(np.array(values), group, seed)
    if bounds is None:
        assert len(values) <= rows_each
    else:
        assert min(values) - 1e-9 <= bounds[0] <= bounds[1] <= max(values) + 1e-9


def test_an_interval_around_a_constant_has_no_width():
    assert interval(np.full(20, 7.0), groups(20)) == (7.0, 7.0)


def test_an_interval_is_the_usual_one_where_rows_are_independent():
    values = np.random.default_rng(0).normal(50, 10, 400)
    low, high = interval(values, groups(400))
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.15)
    assert high == pytest.approx(values.mean() + half, abs=0.15)


def test_repeating_the_rows_of_each_trajectory_does_not_narrow_the_interval():
    values = np.random.default_rng(0).normal(50, 10, 30)
    expected = interval(values, groups(30))
    assert interval(np.repeat(values, 10), np.repeat(groups(30), 10)) == pytest.approx(expected)
    assert interval(np.tile(values, 10), np.tile(groups(30), 10)) == pytest.approx(expected)


def test_an_interval_is_the_same_every_time_and_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(1)
    values, group = rng.normal(size=60), rng.integers(0, 20, 60)
    order = rng.permutation(60)
    assert interval(values, group) == interval(values, group)
    assert interval(values[order], group[order]) == pytest.approx(interval(values, group))
    assert interval(values, 7 * group + 100) == interval(values, group)


@pytest.mark.parametrize(("answers", "best"), [((1, 1, 2), 1), ((2, 2, 1), 2), ((2, 1), 1), ((2,), 2)])
def test_the_best_constant_answer_is_the_most_frequent_and_the_lower_of_equals(answers, best):
    assert best_constant_answer(array(*answers)) == best


@given(st.lists(SCORES, min_size=1, max_size=20), SCORES)
def test_no_constant_score_does_better_than_the_best_one(targets, other):
    target = np.array(targets)
    best = np.abs(best_constant_score(target) - target).mean()
    assert best <= np.abs(other - target).mean() + 1e-9


def test_groups_add_up_to_the_whole():
    rng = np.random.default_rng(2)
    columns = {"predicted": rng.uniform(0, 100, 50), "target": rng.uniform(0, 100, 50), "group": groups(50)}
    names = rng.choice(["rewind", "forward_progress", "reverse_progress"], 50)
    parts = by_group(names, progress_metrics, columns)
    assert list(parts) == sorted(set(names))
    assert sum(part["count"] for part in parts.values()) == 50
    whole = sum(part["count"] * part["mae"] for part in parts.values()) / 50
    assert whole == pytest.approx(progress_metrics(**columns)["mae"])
