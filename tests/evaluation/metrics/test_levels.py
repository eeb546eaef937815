import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.evaluation.metrics.levels import level_metrics, level_of
from rfm.sampling.block import level


def judge(predicted, target, source=None):
    count = len(target)
    source = np.array(source if source is not None else ["s"] * count)
    return level_metrics(np.array(predicted, np.float64), np.array(target, np.float64), source, np.arange(count))


def test_levels_by_hand():
    assert level_of(np.array([0, 12.4, 12.5, 37.4, 37.5, 50, 87.5, 100])).tolist() == [1, 1, 2, 2, 3, 3, 5, 5]


@given(st.floats(0, 1, width=32))
def test_levels_are_those_of_the_discrete_questions(progress):
    single = np.array([progress], np.float32)
    assert level_of(100 * single.astype(np.float64))[0] == level(single)[0]


def test_micro_and_macro():
    # errors 0, 1, 4 levels; two rows of source a, one of b
    metrics = judge([0, 25, 0], [0, 50, 100], ["a", "a", "b"])
    assert metrics["micro_mae"] == pytest.approx(5 / 3)
    assert metrics["macro_mae"] == pytest.approx((0.5 + 4) / 2)
    assert (metrics["exact"], metrics["sources"]) == (pytest.approx(1 / 3), 2)


def test_perfect_constant_unparsed():
    truth = [0, 25, 50, 75, 100]
    assert (judge(truth, truth)["micro_mae"], judge(truth, truth)["exact"]) == (0, 1)
    assert judge([50] * 5, truth)["micro_mae"] == pytest.approx((2 + 1 + 0 + 1 + 2) / 5)
    never = judge([np.nan] * 5, truth)
    assert (never["micro_mae"], never["exact"], never["unparsed"]) == (4, 0, 5)


def test_unparsed_answers_count_as_four_levels_and_are_also_left_out():
    # of source a one row is 1 level off and one unparsed, source b gives no answer at all, c is right
    metrics = judge([25, np.nan, np.nan, 100], [50, 0, 100, 100], ["a", "a", "b", "c"])
    assert (metrics["micro_mae"], metrics["answered_micro_mae"]) == (pytest.approx(9 / 4), 0.5)
    assert (metrics["macro_mae"], metrics["answered_macro_mae"]) == (pytest.approx((2.5 + 4 + 0) / 3), 0.5)
    assert (metrics["unparsed"], metrics["sources"], metrics["answered_sources"]) == (2, 3, 2)
    never = judge([np.nan] * 2, [0, 100])
    assert (never["answered_micro_mae"], never["answered_macro_mae"], never["answered_micro_mae_interval"]) == (
        None, None, None
    )  # fmt: skip


def test_nothing_and_one():
    nothing = judge([], [], [])
    assert (nothing["count"], nothing["micro_mae"], nothing["macro_mae"], nothing["exact"]) == (0, None, None, None)
    one = judge([0], [100])
    assert (one["micro_mae"], one["micro_mae_interval"], one["macro_mae"]) == (4, None, 4)


def test_the_macro_interval_leaves_out_sources_that_a_resample_lacks():
    rng = np.random.default_rng(0)
    metrics = judge(rng.uniform(0, 100, 40), rng.uniform(0, 100, 40), ["a"] * 39 + ["b"])
    low, high = metrics["macro_mae_interval"]
    assert 0 <= low < high <= 4
