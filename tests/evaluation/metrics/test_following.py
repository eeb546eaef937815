import numpy as np
import pytest

from rfm.evaluation.metrics.following import following_metrics

VIDEO = np.repeat(np.arange(8), 4)
ASKED = np.tile(["own", "same_scene"], 16)
LAST = np.tile([2, 2, 9, 9], 8)
KNOWN = np.tile([0.0, 100.0, 100.0, 10.0], 8)


def test_a_model_that_reads_and_one_that_does_not():
    right = following_metrics(KNOWN, KNOWN, ASKED, VIDEO, LAST)
    assert (right["pairs"], right["videos"], right["followed"], right["pair_accuracy"]) == (16, 8, 1, 1)
    assert (right["same_scene_gap"], right["same_scene_gap_known"]) == (90, 90), "of whole episodes"
    assert (right["own"]["count"], right["own"]["score"], right["same_scene"]["score"]) == (8, 100, 10)
    deaf = following_metrics(np.where(LAST == 9, 95.0, 5.0), KNOWN, ASKED, VIDEO, LAST)
    assert (deaf["followed"], deaf["pair_accuracy"], deaf["same_scene_gap"]) == (0, 0.5, 0)
    assert (deaf["followed_interval"], deaf["pair_accuracy_interval"]) == ((0, 0), (0.5, 0.5))


def test_one_that_likes_the_own_instruction_is_found_out_at_the_first_frames():
    """It knows which task a video is of, and reads nothing of what has happened."""
    metrics = following_metrics(np.where(ASKED == "own", 80.0, 20.0), KNOWN, ASKED, VIDEO, LAST)
    assert (metrics["same_scene_gap"], metrics["pair_accuracy"]) == (60, 0.5)
    assert metrics["followed"] == pytest.approx((60 * 90 - 60 * 100) / (90**2 + 100**2))


def test_unparsed_answers_are_the_worst():
    metrics = following_metrics(np.full(32, np.nan), KNOWN, ASKED, VIDEO, LAST)
    assert (metrics["pair_accuracy"], metrics["unparsed"], metrics["own"]["mae"]) == (0, 32, 100)
    assert metrics["followed"] == pytest.approx(-100 * 190 / (90**2 + 100**2))


def test_answers_that_hardly_differ_tell_no_order():
    known = np.array([50.0, 45.0, 50.0, 90.0])
    metrics = following_metrics(np.array([20.0, 80.0, 45.0, 50.0]), known, ASKED[:4], VIDEO[:4], LAST[:4])
    assert (metrics["pairs"], metrics["pair_accuracy"]) == (2, 1)


def test_a_clip_without_its_own_instruction_makes_no_pair():
    rows = np.array([False, True, True, True])
    columns = (column[:4][rows] for column in (KNOWN, KNOWN, ASKED, VIDEO, LAST))
    assert following_metrics(*columns)["pairs"] == 1
    nothing = following_metrics(np.empty(0), np.empty(0), np.empty(0, str), np.empty(0, int), np.empty(0, int))
    assert (nothing["pairs"], nothing["followed"], nothing["pair_accuracy"]) == (0, None, None)
