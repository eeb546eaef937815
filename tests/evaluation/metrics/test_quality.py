import numpy as np
import pytest

from rfm.evaluation.metrics.bootstrap import interval
from rfm.evaluation.metrics.quality import pair_interval, quality_metrics


def test_accuracy_by_pair_of_labels():
    labels = np.array(["successful > failure", "successful > failure", "suboptimal > failure"])
    metrics = quality_metrics(
        np.array([1.0, 2.0, np.nan]), np.array([1.0, 1.0, 2.0]), np.array(list("abc")), np.array(list("bca")), labels
    )
    assert (metrics["count"], metrics["correct"], metrics["accuracy"], metrics["unparsed"]) == (
        3,
        1,
        pytest.approx(1 / 3),
        1,
    )
    parts = metrics["by_label_pair"]
    assert {name: (part["count"], part["accuracy"]) for name, part in parts.items()} == {
        "successful > failure": (2, 0.5),
        "suboptimal > failure": (1, 0.0),
    }


def test_nothing_and_one():
    nothing = quality_metrics(*(np.empty(0),) * 5)
    assert (nothing["count"], nothing["accuracy"], nothing["accuracy_interval"], nothing["by_label_pair"]) == (
        0,
        None,
        None,
        {},
    )
    one = pair_interval(np.ones(1), np.array(["a"]), np.array(["b"]))
    assert one == (1, 1)


def test_pairs_of_one_trajectory_each_are_rows_of_it():
    rng = np.random.default_rng(0)
    values, group = rng.uniform(size=40), np.arange(40) // 2
    assert pair_interval(values, group, group) == pytest.approx(
        interval(values, group), rel=1e-12
    )  # another sum's order


def test_pairs_that_share_a_trajectory_on_either_side_have_a_wider_interval():
    """The difficulty of a pair is that of its second episode: first clips alone would not show it."""
    rng = np.random.default_rng(0)
    first, second = np.repeat(np.arange(20), 20), 20 + np.tile(np.arange(20), 20)
    values = rng.normal(size=20)[second - 20]
    narrow, wide = (high - low for low, high in (interval(values, first), pair_interval(values, first, second)))
    half = 1.96 * values.std() / np.sqrt(20)
    assert narrow < 1e-9
    assert wide == pytest.approx(2 * half, rel=0.2)
