import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rfm.inference.answering.distribution import Distribution


def over(answers, *probabilities):
    return Distribution(np.array(answers, float), np.array(probabilities, float), np.zeros(len(probabilities)))


def test_hand_worked_values():
    both = over([0, 50, 100], [0.2, 0.3, 0.5], [0.0, 1.0, 0.0])
    assert len(both) == 2
    assert both.mean() == pytest.approx([65, 50])
    assert both.median().tolist() == [50, 50]
    assert both.mode().tolist() == [100, 50]
    assert both.entropy() == pytest.approx([-0.2 * np.log(0.2) - 0.3 * np.log(0.3) - 0.5 * np.log(0.5), 0])


def test_equal_answers_take_the_lower_one():
    fair = over([1, 2], [0.5, 0.5])
    assert (fair.mode()[0], fair.median()[0]) == (1, 1)
    assert fair.entropy()[0] == pytest.approx(np.log(2))


def test_rounding_does_not_move_a_half():
    assert over([1, 2, 3], [0.1 + 0.2, 0.2 - 1e-16, 0.5]).median()[0] == 2


@given(arrays(np.float64, 7, elements=st.floats(0, 1)).filter(lambda weights: weights.sum() > 0.1))
def test_mean_and_median_are_of_least_expected_error(weights):
    made = over(np.arange(7), weights / weights.sum())
    p, answers = made.probabilities[0], made.answers
    absolute = np.abs(answers[:, None] - answers) @ p
    assert absolute[int(made.median()[0])] <= absolute.min() + 1e-6
    grid = np.linspace(0, 6, 301)
    squared = ((grid[:, None] - answers) ** 2) @ p
    assert ((made.mean()[0] - answers) ** 2) @ p <= squared.min() + 1e-9
    assert 0 <= made.entropy()[0] <= np.log(7) + 1e-12
