"""95% percentile intervals by resampling trajectories. Arrays in, numbers out; no torch.

Rows that show one trajectory are not independent, so a resample draws whole trajectories ("groups"), as often as there
are, with replacement. A resample is a row of weights: how often each group was drawn. Statistics take blocks of such
rows, so a mean over groups is one matrix product. Cost: RESAMPLES x groups draws, 10 ns each, and at most
BLOCK weights in memory. The same groups and seed give the same weights, which is what makes differences paired.

Shape legend: r resamples, g groups, n rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float64, Int64

RESAMPLES = 1000
BLOCK = 2**22

Interval = tuple[float, float]
Statistic = Callable[[Float64[np.ndarray, "r g"]], Float64[np.ndarray, " r"]]
"""From weights to the statistic of each resample; NaN where a resample leaves it undefined."""


def group_codes(group: np.ndarray) -> tuple[Int64[np.ndarray, " n"], int]:
    """Return each row's group as 0, 1, …, and how many groups there are."""
    _, codes = np.unique(group, return_inverse=True)
    return codes.reshape(-1), int(codes.max(initial=-1)) + 1


def interval_of(statistic: Statistic, groups: int, seed: int = 0) -> Interval | None:
    """Return the 95% interval of a statistic; None for fewer than two groups, or where no resample defines it."""
    if groups < 2:
        return None
    values = np.concatenate([statistic(block) for block in _weights(groups, seed)])
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def interval(values: Float64[np.ndarray, " n"], group: np.ndarray, seed: int = 0) -> Interval | None:
    """Return the 95% interval of the mean of `values` over resampled groups; None for fewer than two groups."""
    codes, groups = group_codes(group)
    sums, counts = sums_by_group(values, codes, groups), sums_by_group(np.ones(len(values)), codes, groups)
    return interval_of(lambda weights: ratio(weights @ sums, weights @ counts), groups, seed)


def sums_by_group(
    values: Float64[np.ndarray, " n"], codes: Int64[np.ndarray, " n"], groups: int
) -> Float64[np.ndarray, " g"]:
    """Return the sum of each group's values."""
    return np.bincount(codes, values, groups)


def ratio(numerator: Float64[np.ndarray, "..."], denominator: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Divide; NaN, without a warning, where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)


def mean_of_defined(values: Float64[np.ndarray, "r k"]) -> Float64[np.ndarray, " r"]:
    """Return each row's mean over the entries that are not NaN; NaN where all are."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _weights(groups: int, seed: int) -> Iterator[Float64[np.ndarray, "r g"]]:
    rng = np.random.default_rng(seed)
    step = max(1, BLOCK // groups)
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        drawn = rng.integers(0, groups, (count, groups)) + groups * np.arange(count)[:, None]
        yield np.bincount(drawn.reshape(-1), minlength=count * groups).reshape(count, groups).astype(np.float64)
