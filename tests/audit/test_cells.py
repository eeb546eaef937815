import numpy as np
import pytest

from rfm.audit.cells import cells, learnt_cells, told_by_cells


def test_a_cell_is_a_text_a_source_or_both():
    of = cells(np.array([0, 0, 1, 1]), np.array([[5], [7], [5], [7]]))
    assert [len(np.unique(column)) for column in of.T] == [2, 2, 4]


def test_cells_tell_their_mean_and_their_share_of_the_lowest_answer_drawn_towards_the_average():
    of, answer = np.array([[0]] * 96 + [[1]] * 4), np.array([0.0, 100.0] * 48 + [100.0] * 4)
    told = told_by_cells(of, answer, np.array([[0], [1], [2]]))
    average = answer.mean(), (answer == 0).mean()
    assert told[2] == pytest.approx(average), "of a cell that nobody has seen"
    assert told[1] == pytest.approx([(400 + 4 * average[0]) / 8, 4 * average[1] / 8])
    assert told[0] == pytest.approx([50, 0.5], abs=0.2)


def test_rows_to_learn_from_do_not_see_their_own_trajectory():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 50, 2000)
    answer = rng.integers(1, 3, 50)[group].astype(float)
    told = learnt_cells(group[:, None], answer, group)
    assert np.abs(told[:, 0] - answer.mean()).max() < 0.2, "a cell of one trajectory tells nothing of itself"
