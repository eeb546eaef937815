from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from rfm.evaluation.metrics import ranking
from rfm.evaluation.metrics.ranking import ranking_metrics

EPISODES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=2, max_size=9)
NAN = float("nan")
NAMES = ("tau_a", "tau_b", "pair_accuracy")


def rank(score, quality, task=None, group=None):
    score, quality = np.array(score, np.float64), np.array(quality)
    task = np.zeros(len(score), int) if task is None else np.array(task)
    return ranking_metrics(score, quality, task, np.arange(len(score)) if group is None else np.array(group))


def test_a_perfect_order():
    metrics = rank([0, 50, 100], [0, 1, 2])
    assert (metrics["tau_a"], metrics["tau_b"], metrics["pair_accuracy"]) == pytest.approx((1, 1, 1))
    assert (metrics["episodes"], metrics["tasks"], metrics["pairs"]) == (3, 1, 3)


def test_a_constant_score_and_a_reversed_order():
    constant = rank([50, 50, 50], [0, 1, 2])
    assert (constant["tau_a"], constant["tau_b"], constant["pair_accuracy"]) == (0, 0, 0.5)
    reverse = rank([100, 50, 0], [0, 1, 2])
    assert (reverse["tau_a"], reverse["tau_b"], reverse["pair_accuracy"]) == pytest.approx((-1, -1, 0))


def test_ties_by_hand():
    # failure 10, suboptimal 10, successful 20: one pair tied, two agree
    metrics = rank([10, 10, 20], [0, 1, 2])
    assert metrics["tau_a"] == pytest.approx(2 / 3)
    assert metrics["tau_b"] == pytest.approx(2 / np.sqrt(2 * 3))
    assert metrics["pair_accuracy"] == pytest.approx((2 + 0.5) / 3)


def test_equals_of_one_quality_lower_tau_b_alone():
    metrics = rank([10, 20, 90, 95], [0, 0, 2, 2])
    assert (metrics["tau_a"], metrics["pair_accuracy"], metrics["pairs"]) == (1, 1, 4)
    assert metrics["tau_b"] == pytest.approx(4 / np.sqrt(4 * 6))


def of_choices(score, quality):
    """Robometer's tau-a: the mean over all choices of one episode a quality of (agreeing - disagreeing) / pairs."""
    members = [[s for s, q in zip(score, quality, strict=True) if q == one] for one in sorted(set(quality))]
    taus = []
    for choice in product(*members):
        pairs = list(combinations(choice, 2))
        taus.append(sum(np.sign(b - a) for a, b in pairs) / len(pairs))
    return np.mean(taus)


@given(EPISODES)
def test_taus_as_their_definitions_have_them(episodes):
    score, quality = zip(*episodes, strict=True)
    metrics = rank(score, quality)
    if len(set(quality)) < 2:
        assert (metrics["tasks"], metrics["tau_a"], metrics["tau_b"], metrics["pair_accuracy"]) == (0, None, None, None)
        return
    assert metrics["tau_a"] == pytest.approx(of_choices(score, quality))
    assert metrics["tau_b"] == pytest.approx(np.nan_to_num(kendalltau(score, quality).statistic))
    different = [(a, b) for a, b in combinations(episodes, 2) if a[1] != b[1]]
    agreement = np.mean([np.sign((a[0] - b[0]) * (a[1] - b[1])) for a, b in different])
    assert metrics["pair_accuracy"] == pytest.approx((1 + agreement) / 2)


@given(EPISODES, st.integers(1, 3))
def test_blocks_do_not_change_the_result(episodes, rows):
    score, quality = zip(*episodes, strict=True)
    whole = rank(score, quality)
    kept, ranking._ROWS = ranking._ROWS, rows
    try:
        parts = rank(score, quality)
        assert [parts[name] for name in NAMES] == pytest.approx([whole[name] for name in NAMES])
    finally:
        ranking._ROWS = kept


def test_tasks_count_alike_for_taus_and_by_their_pairs_for_accuracy():
    score, quality, task = [0, 1, 9, 0, 5, 5], [0, 1, 2, 1, 0, 0], [0, 0, 0, 1, 1, 1]
    metrics = rank(score, quality, task)
    assert metrics["tau_a"] == pytest.approx((1 - 1) / 2)
    assert metrics["pair_accuracy"] == pytest.approx(3 / 5)


def test_a_task_of_one_quality_is_left_out():
    metrics = rank([1, 2, 3, 4], [0, 2, 1, 1], [0, 0, 1, 1])
    assert (metrics["tasks"], metrics["episodes"], metrics["tau_a"]) == (1, 2, 1)


def test_an_unparsed_answer_disagrees_with_all():
    metrics = rank([NAN, 50, 100], [0, 1, 2])
    assert metrics["unparsed"] == 1
    assert metrics["pair_accuracy"] == pytest.approx(1 / 3)
    assert metrics["tau_a"] == pytest.approx(-1 / 3)
    never = rank([NAN] * 3, [0, 1, 2])
    assert (never["tau_a"], never["tau_b"], never["pair_accuracy"]) == pytest.approx((-1, -1, 0))


def test_nothing_and_one():
    for episodes in ([], [5]):
        metrics = rank(episodes, [1] * len(episodes))
        assert (metrics["tasks"], metrics["pairs"], metrics["tau_a"], metrics["tau_a_interval"]) == (0, 0, None, None)


def test_random_scores_are_at_chance_and_the_interval_covers_it():
    rng = np.random.default_rng(0)
    metrics = rank(rng.uniform(size=300), rng.integers(0, 3, 300), np.arange(300) % 10)
    for name, chance in (("tau_a", 0), ("tau_b", 0), ("pair_accuracy", 0.5)):
        low, high = metrics[f"{name}_interval"]
        assert low < chance < high
        assert high - low < 0.3


def test_a_resample_that_draws_an_episode_twice_is_the_episode_written_twice():
    tasks = ranking._Task(np.array([1.0, 3.0, 2.0, 2.0]), np.array([0, 1, 2, 0]), np.arange(4))
    weights = np.array([[2.0, 1.0, 0.0, 3.0]])
    twice = np.repeat(np.arange(4), [2, 1, 0, 3])
    assert tasks.tau_b(weights)[0] == pytest.approx(kendalltau(tasks.score[twice], tasks.quality[twice]).statistic)
    assert tasks.tau_a(weights)[0] == pytest.approx(of_choices(tasks.score[twice], tasks.quality[twice].tolist()))
