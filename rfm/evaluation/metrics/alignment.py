"""Reward alignment (value-order correlation, VOC): does the score rise as the robot gets further? No torch.

For each trajectory the correlation of predicted with true progress over its prefixes: Pearson's as Robometer reports
it, Spearman's as GVL does (Ma et al. 2024, arXiv 2411.04549). Where it is undefined (fewer than two prefixes, constant
scores, constant progress) it is 0, as for a model that says nothing about the order, and counted. So it is for a
trajectory of which an answer could not be parsed: leaving out the prefix would reward silence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from scipy.stats import rankdata

from rfm.evaluation.metrics.accuracy import Numbers, mean
from rfm.evaluation.metrics.bootstrap import group_codes, interval


def alignment_metrics(
    predicted: Float64[np.ndarray, " n"], target: Float64[np.ndarray, " n"], group: np.ndarray
) -> Numbers:
    """Return the mean correlations over trajectories (`group`), in [-1, 1], with 95% intervals over trajectories."""
    correlations = [correlate(predicted[rows], target[rows]) for rows in _rows_of_groups(group)]
    known = np.array(correlations, np.float64).reshape(-1, 2)
    values, each = np.nan_to_num(known), np.arange(len(known))
    return {
        "trajectories": len(known),
        "pearson": mean(values[:, 0]),
        "pearson_interval": interval(values[:, 0], each),
        "spearman": mean(values[:, 1]),
        "spearman_interval": interval(values[:, 1], each),
        "undefined": int(np.isnan(known).any(axis=1).sum()),
        "unparsed": int(np.isnan(predicted).sum()),
    }


def correlate(predicted: Float64[np.ndarray, " p"], target: Float64[np.ndarray, " p"]) -> tuple[float, float]:
    """Return Pearson's and Spearman's correlation (ties: mean ranks) over one trajectory; NaN where undefined."""
    if len(target) < 2 or np.isnan(predicted).any() or np.ptp(predicted) == 0 or np.ptp(target) == 0:
        return float("nan"), float("nan")
    return _pearson(predicted, target), _pearson(rankdata(predicted), rankdata(target))


def _pearson(x: Float64[np.ndarray, " p"], y: Float64[np.ndarray, " p"]) -> float:
    x, y = (x - x.mean()) / np.ptp(x), (y - y.mean()) / np.ptp(y)  # squares of denormal differences would be 0
    return float(np.clip((x @ y) / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def _rows_of_groups(group: np.ndarray) -> Iterator[np.ndarray]:
    codes, groups = group_codes(group)
    order = np.argsort(codes, kind="stable")
    if groups:
        yield from np.split(order, np.cumsum(np.bincount(codes, minlength=groups))[:-1])
