"""How far a model is ahead of its controls: paired differences with 95% intervals. Arrays in, numbers out; no torch.

A gap is positive where the model is better: its accuracy minus the control's, the control's MAE minus its own. The same
rows are compared, so the interval is that of the mean difference, over trajectories.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

from rfm.evaluation.judge import Sheet
from rfm.evaluation.metrics.accuracy import Numbers, errors, hits
from rfm.evaluation.metrics.bootstrap import Interval, interval

MAIN_METRIC: Mapping[str, str] = {"preference": "accuracy", "progress": "mae", "similarity": "accuracy"}
_DEVIATIONS = 2 * 1.96
"""Standard errors from one end of a 95% interval to the other."""


def row_scores(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return what the main metric is the mean of, the higher the better: 1 for a right answer, or minus the error."""
    if sheet.kind == "progress":
        return -errors(predicted, sheet.truth)
    return hits(predicted, sheet.truth)


def paired_gap(
    sheet: Sheet, predicted: Float64[np.ndarray, " n"], control: Float64[np.ndarray, " n"], control_sheet: Sheet
) -> Numbers:
    """Return the mean difference of row scores and its interval; the control is judged by its own sheet's truth."""
    difference = row_scores(sheet, predicted) - row_scores(control_sheet, control)
    return {"gap": float(difference.mean()), "gap_interval": interval(difference, sheet.group)}


def unpaired_gap(kind: str, model: Numbers, floor: Numbers) -> Numbers:
    """Return the difference of two independent measurements of the main metric; their variances add up."""
    metric = MAIN_METRIC[kind]
    sign = -1.0 if kind == "progress" else 1.0
    gap = sign * (model[metric] - floor[metric])
    intervals: list[Interval | None] = [numbers[f"{metric}_interval"] for numbers in (model, floor)]
    widths = [high - low for low, high in (one for one in intervals if one is not None)]
    if len(widths) < 2:
        return {"gap": gap, "gap_interval": None}
    half = 1.96 * float(np.hypot(widths[0], widths[1])) / _DEVIATIONS
    return {"gap": gap, "gap_interval": (gap - half, gap + half)}


def best_control(kind: str, contestants: Mapping[str, Numbers]) -> Numbers:
    """Return the contestant that the model is least ahead of: the name, its metric and the gap to it."""
    name = min(contestants, key=lambda one: float(contestants[one]["gap"]))
    metric = MAIN_METRIC[kind]
    numbers = contestants[name]
    return {
        "best_control": name,
        "metric": metric,
        "control": numbers[metric],
        "gap": numbers["gap"],
        "gap_interval": numbers["gap_interval"],
    }
