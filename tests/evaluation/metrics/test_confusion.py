import numpy as np
import pytest

from rfm.evaluation.metrics.confusion import confusion_metrics

VIDEOS = 6
VIDEO = np.repeat(np.arange(VIDEOS), 4)
ASKED = np.tile(["own", "same_scene", "other_scene", "other_scene"], VIDEOS)
KNOWN = np.where(ASKED == "own", 100.0, 0.0)


def test_a_model_that_understands_and_one_that_ignores_the_words():
    perfect = confusion_metrics(KNOWN, KNOWN, ASKED, VIDEO)
    assert (perfect["diagonal"], perfect["off_diagonal"], perfect["gap"]) == (100, 0, 100)
    assert (perfect["same_scene_gap"], perfect["same_scene_gap_known"]) == (100, 100)
    assert perfect["gap_interval"] == perfect["same_scene_gap_interval"] == (100, 100)
    assert (perfect["count"], perfect["videos"]) == (24, 6)
    deaf = confusion_metrics(np.repeat(np.arange(6.0), 4), KNOWN, ASKED, VIDEO)
    assert (deaf["gap"], deaf["same_scene_gap"]) == pytest.approx((0, 0))
    assert deaf["same_scene_gap_interval"] == pytest.approx((0, 0))


def test_a_model_that_knows_the_scene_alone_is_found_out():
    """The gap to all others is 67 of 100 for a model that gives both tasks of a scene the same score."""
    metrics = confusion_metrics(np.where(ASKED == "other_scene", 0.0, 100.0), KNOWN, ASKED, VIDEO)
    assert metrics["gap"] == pytest.approx(200 / 3)
    assert (metrics["same_scene_gap"], metrics["same_scene_gap_interval"]) == (0, (0, 0))
    assert [metrics[kind]["score"] for kind in ("own", "same_scene", "other_scene")] == [100, 100, 0]
    assert [metrics[kind]["mae"] for kind in ("own", "same_scene", "other_scene")] == [0, 100, 0]


def test_by_hand_with_known_answers_that_are_not_0():
    predicted, known = np.array([80.0, 20.0, 10.0, 60.0, 50.0]), np.array([100.0, 30.0, 0.0, 90.0, 40.0])
    asked = np.array(["own", "same_scene", "unknown_scene", "own", "same_scene"])
    metrics = confusion_metrics(predicted, known, asked, np.array([0, 0, 0, 1, 1]))
    assert (metrics["diagonal"], metrics["off_diagonal"]) == (70, pytest.approx(80 / 3))
    assert (metrics["same_scene_gap"], metrics["same_scene_gap_known"]) == (35, 60)
    same = metrics["same_scene"]
    assert (same["count"], same["score"], same["known"], same["mae"]) == (2, 35, 35, 10)
    assert (metrics["unknown_scene"]["count"], metrics["unknown_scene"]["score_interval"]) == (1, None)
    assert "other_scene" not in metrics


def test_an_unparsed_answer_is_the_worst_one():
    metrics = confusion_metrics(np.full(24, np.nan), KNOWN, ASKED, VIDEO)
    assert (metrics["diagonal"], metrics["off_diagonal"], metrics["gap"], metrics["unparsed"]) == (0, 100, -100, 24)
    assert (metrics["same_scene_gap"], metrics["same_scene"]["mae"]) == (-100, 100)


def test_nothing_and_one_side():
    nothing = confusion_metrics(np.empty(0), np.empty(0), np.empty(0, str), np.empty(0, int))
    assert (nothing["count"], nothing["gap"], nothing["gap_interval"]) == (0, None, None)
    own = confusion_metrics(np.array([90.0]), np.array([100.0]), np.array(["own"]), np.array([0]))
    assert (own["diagonal"], own["off_diagonal"], own["gap"], own["gap_interval"]) == (90, None, None, None)
    assert (own["same_scene_gap"], own["same_scene_gap_interval"], own["same_scene_gap_known"]) == (None, None, None)


def test_random_scores_have_no_gap():
    rng = np.random.default_rng(0)
    metrics = confusion_metrics(
        rng.uniform(0, 100, 24 * 50), np.tile(KNOWN, 50), np.tile(ASKED, 50), np.arange(1200) // 4
    )
    for gap in ("gap", "same_scene_gap"):
        low, high = metrics[f"{gap}_interval"]
        assert low < 0 < high
