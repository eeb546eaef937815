import numpy as np
import pytest

from rfm.evaluation.metrics.confusion import confusion_metrics

VIDEOS, TASKS = 6, 3
VIDEO = np.repeat(np.arange(VIDEOS), TASKS)
OWN = np.tile(np.arange(TASKS), VIDEOS) == np.repeat(np.arange(VIDEOS) % TASKS, TASKS)


def test_a_model_that_understands_and_one_that_ignores_the_words():
    perfect = confusion_metrics(np.where(OWN, 100.0, 0.0), OWN, VIDEO)
    assert (perfect["diagonal"], perfect["off_diagonal"], perfect["gap"]) == (100, 0, 100)
    assert perfect["gap_interval"] == (100, 100)
    assert (perfect["count"], perfect["videos"]) == (18, 6)
    deaf = confusion_metrics(np.repeat(np.arange(6.0), 3), OWN, VIDEO)
    assert deaf["gap"] == pytest.approx(0)
    assert deaf["gap_interval"] == pytest.approx((0, 0))


def test_by_hand():
    metrics = confusion_metrics(np.array([80.0, 20.0, 10.0, 60.0]), np.array([True, False, False, True]), VIDEO[:4])
    assert (metrics["diagonal"], metrics["off_diagonal"], metrics["gap"]) == (70, 15, 55)


def test_an_unparsed_answer_is_the_worst_one():
    metrics = confusion_metrics(np.full(18, np.nan), OWN, VIDEO)
    assert (metrics["diagonal"], metrics["off_diagonal"], metrics["gap"], metrics["unparsed"]) == (0, 100, -100, 18)


def test_nothing_and_one_side():
    nothing = confusion_metrics(np.empty(0), np.empty(0, bool), np.empty(0, int))
    assert (nothing["count"], nothing["gap"], nothing["gap_interval"]) == (0, None, None)
    own = confusion_metrics(np.array([90.0]), np.array([True]), np.array([0]))
    assert (own["diagonal"], own["off_diagonal"], own["gap"], own["gap_interval"]) == (90, None, None, None)


def test_random_scores_have_no_gap():
    rng = np.random.default_rng(0)
    metrics = confusion_metrics(rng.uniform(0, 100, 18 * 50), np.tile(OWN, 50), np.arange(18 * 50) // 3)
    low, high = metrics["gap_interval"]
    assert low < 0 < high
