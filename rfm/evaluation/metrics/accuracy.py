"""Accuracy, MAE and RMSE with bootstrap intervals. Arrays in, numbers out; no torch.

An answer that could not be parsed is NaN and never leaves the denominator: it is wrong for the accuracy, an error of
100 for MAE and RMSE, and counted by itself. Intervals resample groups (trajectories), since rows that show one
trajectory are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from rfm.evaluation.metrics.bootstrap import Interval, group_codes, interval, interval_of, ratio, sums_by_group

WORST_ERROR = 100.0

Numbers = dict[str, Any]


def preference_metrics(
    predicted: Float64[np.ndarray, " n"], answer: Float64[np.ndarray, " n"], group: np.ndarray
) -> Numbers:
    """Return count, episodes, correct, accuracy (a share in [0, 1]), its 95% interval and unparsed answers."""
    right = hits(predicted, answer)
    return {
        "count": len(answer),
        "episodes": len(np.unique(group)),
        "correct": int(right.sum()),
        "accuracy": mean(right),
        "accuracy_interval": interval(right, group),
        "unparsed": int(np.isnan(predicted).sum()),
    }


def progress_metrics(
    predicted: Float64[np.ndarray, " n"], target: Float64[np.ndarray, " n"], group: np.ndarray
) -> Numbers:
    """Return count, episodes, MAE and RMSE (points of 0 to 100) with 95% intervals, and unparsed answers."""
    error = errors(predicted, target)
    square = mean(error**2)
    return {
        "count": len(target),
        "episodes": len(np.unique(group)),
        "mae": mean(error),
        "rmse": None if square is None else float(np.sqrt(square)),
        "mae_interval": interval(error, group),
        "rmse_interval": _root_interval(error**2, group),
        "unparsed": int(np.isnan(predicted).sum()),
    }


def hits(predicted: Float64[np.ndarray, " n"], answer: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return 1 for each right answer, 0 for a wrong or unparsed one."""
    return (predicted == answer).astype(np.float64)


def errors(predicted: Float64[np.ndarray, " n"], target: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return the absolute errors; WORST_ERROR for an unparsed answer."""
    return np.where(np.isnan(predicted), WORST_ERROR, np.abs(predicted - target))


def best_constant_answer(answer: Float64[np.ndarray, " n"]) -> float:
    """Return the answer that is right most often; the lower one of equals."""
    values, counts = np.unique(answer, return_counts=True)
    return float(values[counts.argmax()])


def best_constant_score(target: Float64[np.ndarray, " n"]) -> float:
    """Return the score of least mean absolute error: the median."""
    return float(np.median(target))


def by_group(
    names: np.ndarray, metrics: Callable[..., Numbers], columns: Mapping[str, np.ndarray]
) -> dict[str, Numbers]:
    """Return `metrics(**columns)` for the rows of each name."""
    rows: dict[str, Bool[np.ndarray, " n"]] = {str(name): names == name for name in np.unique(names)}
    return {name: metrics(**{key: column[at] for key, column in columns.items()}) for name, at in rows.items()}


def mean(values: Float64[np.ndarray, " n"]) -> float | None:
    """Return the mean; None of nothing."""
    return float(values.mean()) if len(values) else None


def _root_interval(squares: Float64[np.ndarray, " n"], group: np.ndarray) -> Interval | None:
    codes, groups = group_codes(group)
    sums, counts = sums_by_group(squares, codes, groups), sums_by_group(np.ones(len(squares)), codes, groups)
    return interval_of(lambda weights: np.sqrt(ratio(weights @ sums, weights @ counts)), groups)
