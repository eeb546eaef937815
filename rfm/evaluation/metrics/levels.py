"""RoboReward's five levels: progress as 1 to 5, errors in levels. No torch.

Level of a score s in [0, 100]: 1 + floor(4 s / 100 + 0.5), as in the discrete questions. Micro is the mean over rows,
macro the mean over sources of their means. An answer that could not be parsed is an error of four levels; without such
answers the same means are `answered_…`, from which a source that gave none is absent.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from rfm.evaluation.metrics.accuracy import Numbers, mean
from rfm.evaluation.metrics.bootstrap import group_codes, interval, interval_of, mean_of_defined, ratio, sums_by_group

WORST_LEVELS = 4.0


def level_metrics(
    predicted: Float64[np.ndarray, " n"], target: Float64[np.ndarray, " n"], source: np.ndarray, group: np.ndarray
) -> Numbers:
    """Return the mean absolute error in levels, micro and macro, and the share of exact levels, with 95% intervals."""
    answered = ~np.isnan(predicted)
    error = np.where(answered, np.abs(level_of(np.nan_to_num(predicted)) - level_of(target)), WORST_LEVELS)
    exact = (error == 0).astype(np.float64)
    of_answered = _means(error[answered], source[answered], group[answered])
    return {
        "count": len(error),
        **_means(error, source, group),
        **{f"answered_{name}": value for name, value in of_answered.items()},
        "exact": mean(exact),
        "exact_interval": interval(exact, group),
        "sources": len(np.unique(source)),
        "answered_sources": len(np.unique(source[answered])),
        "unparsed": int((~answered).sum()),
    }


def level_of(score: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return the level, 1 to 5, of scores in [0, 100]; rounding guards 37.5 against its own representation."""
    return 1.0 + np.floor(np.round(4.0 * score / 100.0, 6) + 0.5)


def _means(error: Float64[np.ndarray, " n"], source: np.ndarray, group: np.ndarray) -> Numbers:
    sources, names = group_codes(source)
    codes, groups = group_codes(group)
    members = [sources == one for one in range(names)]
    sums = np.array([sums_by_group(np.where(rows, error, 0.0), codes, groups) for rows in members])
    counts = np.array([sums_by_group(rows.astype(np.float64), codes, groups) for rows in members])
    sums, counts = sums.reshape(names, groups), counts.reshape(names, groups)
    return {
        "micro_mae": mean(error),
        "micro_mae_interval": interval(error, group),
        "macro_mae": mean(np.array([error[rows].mean() for rows in members])),
        "macro_mae_interval": interval_of(lambda w: mean_of_defined(ratio(w @ sums.T, w @ counts.T)), groups),
    }
