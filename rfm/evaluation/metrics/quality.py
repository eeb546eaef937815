"""Quality preference: which of two whole episodes of a task did better, by the pair of their quality labels. No torch.

Every episode stands in many pairs, on either side, so a pair's weight in a resample is the product of how often its two
episodes were drawn (the pigeonhole bootstrap, Owen 2007, which errs on the wide side).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from rfm.evaluation.metrics.accuracy import Numbers, hits, mean
from rfm.evaluation.metrics.bootstrap import Interval, group_codes, interval_of, ratio

_PAIRS = 2**14
"""Pairs weighted at a time: bounds memory at resamples x _PAIRS."""


def quality_metrics(
    predicted: Float64[np.ndarray, " n"],
    answer: Float64[np.ndarray, " n"],
    group: np.ndarray,
    other_group: np.ndarray,
    labels: np.ndarray,
) -> Numbers:
    """Return the accuracy overall and by pair of labels ("successful > failure"), with 95% intervals.

    `group` and `other_group` are the trajectories of the two clips, `labels` the pair of each row.
    """
    right = hits(predicted, answer)
    whole = _accuracy(right, predicted, group, other_group)
    parts = {
        str(name): _accuracy(*(column[labels == name] for column in (right, predicted, group, other_group)))
        for name in np.unique(labels)
    }
    return {**whole, "by_label_pair": parts}


def _accuracy(right: np.ndarray, predicted: np.ndarray, group: np.ndarray, other_group: np.ndarray) -> Numbers:
    return {
        "count": len(right),
        "correct": int(right.sum()),
        "accuracy": mean(right),
        "accuracy_interval": pair_interval(right, group, other_group),
        "unparsed": int(np.isnan(predicted).sum()),
    }


def pair_interval(values: Float64[np.ndarray, " n"], group: np.ndarray, other_group: np.ndarray) -> Interval | None:
    """Return the 95% interval of the mean over pairs of trajectories."""
    codes, groups = group_codes(np.concatenate([group, other_group]))
    first, second = codes[: len(values)], codes[len(values) :]

    def statistic(weights: Float64[np.ndarray, "r g"]) -> Float64[np.ndarray, " r"]:
        total, count = np.zeros(len(weights)), np.zeros(len(weights))
        for start in range(0, len(values), _PAIRS):
            at = slice(start, start + _PAIRS)
            same = first[at] == second[at]
            weight = weights[:, first[at]] * np.where(same, 1.0, weights[:, second[at]])
            total += weight @ values[at]
            count += weight.sum(axis=1)
        return ratio(total, count)

    return interval_of(statistic, groups)
