"""Accuracy, MAE and RMSE with bootstrap intervals. Arrays in, numbers out; no torch.

An answer that could not be parsed is NaN and never leaves the denominator: it is wrong for the accuracy, an error of
100 for MAE and RMSE, and counted by itself. Intervals resample groups (trajectories), since rows that show one
trajectory are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

WORST_ERROR = 100.0
RESAMPLES = 1000

Numbers = dict[str, Any]


def preference_metrics(
    predicted: Float64[np.ndarray, " n"], answer: Float64[np.ndarray, " n"], group: Int64[np.ndarray, " n"]
) -> Numbers:
    """Return count, correct, accuracy (a share in [0, 1]), its 95% interval and the number of unparsed answers."""
    right = (predicted == answer).astype(np.float64)
    return {
        "count": len(answer),
        "correct": int(right.sum()),
        "accuracy": _mean(right),
        "accuracy_interval": interval(right, group),
        "unparsed": int(np.isnan(predicted).sum()),
    }


def progress_metrics(
    predicted: Float64[np.ndarray, " n"], target: Float64[np.ndarray, " n"], group: Int64[np.ndarray, " n"]
) -> Numbers:
    """Return count, MAE and RMSE (points of 0 to 100), the MAE's 95% interval and the number of unparsed answers."""
    error = np.where(np.isnan(predicted), WORST_ERROR, np.abs(predicted - target))
    square = _mean(error**2)
    return {
        "count": len(target),
        "mae": _mean(error),
        "rmse": None if square is None else float(np.sqrt(square)),
        "mae_interval": interval(error, group),
        "unparsed": int(np.isnan(predicted).sum()),
    }


def interval(
    values: Float64[np.ndarray, " n"], group: Int64[np.ndarray, " n"], seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95% percentile interval of the mean over resampled groups; None for fewer than two groups."""
    _, codes = np.unique(group, return_inverse=True)
    groups = int(codes.max(initial=-1)) + 1
    if groups < 2:
        return None
    sums, counts = np.bincount(codes, values, groups), np.bincount(codes, minlength=groups)
    weights = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), RESAMPLES)
    low, high = np.percentile((weights @ sums) / (weights @ counts), [2.5, 97.5])
    return float(low), float(high)


def best_constant_answer(answer: Float64[np.ndarray, " n"]) -> float:
    """Return the answer that is right most often; the lower one of equals."""
    values, counts = np.unique(answer, return_counts=True)
    return float(values[counts.argmax()])


def best_constant_score(target: Float64[np.ndarray, " n"]) -> float:
    """Return the score of least mean absolute error: the median."""
    return float(np.median(target))


def by_group(names: np.ndarray, metrics: Any, columns: Mapping[str, np.ndarray]) -> dict[str, Numbers]:
    """Return `metrics(**columns)` for the rows of each name."""
    rows: dict[str, Bool[np.ndarray, " n"]] = {str(name): names == name for name in np.unique(names)}
    return {name: metrics(**{key: column[at] for key, column in columns.items()}) for name, at in rows.items()}


def _mean(values: Float64[np.ndarray, " n"]) -> float | None:
    return float(values.mean()) if len(values) else None
