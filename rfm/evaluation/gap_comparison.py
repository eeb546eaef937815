"""The gap own - same scene of two results, from their predictions. Arrays in, numbers out; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.bootstrap import interval_of
from rfm.evaluation.metrics.confusion import OWN, SAME_SCENE, Sides, scores
from rfm.evaluation.metrics.following import whole_episodes

GAP_SETS: Mapping[str, str] = {"confusion": "instruction_confusion", "instruction": "instruction_following"}
"""Names of evaluation sets, and of what results files say of them."""


def compared_gaps(pairs: Sequence[tuple[Numbers, Numbers]]) -> Numbers:
    """Return by set the two gaps, how much larger B's is and its interval, from rows that both judged.

    Sets whose rows do not tell whose instruction they ask, or have only one side, are left out.
    """
    found = {}
    for strategy, name in GAP_SETS.items():
        rows = [pair for pair in pairs if pair[0]["strategy"] == strategy and "instruction" in pair[0]]
        if rows and (numbers := _compared(rows, only_whole=strategy == "instruction")):
            found[name] = numbers
    return found


def _compared(rows: Sequence[tuple[Numbers, Numbers]], *, only_whole: bool) -> Numbers | None:
    first = [one for one, _ in rows]
    instruction = np.array([one["instruction"] for one in first])
    group = np.array([one["trajectory"] for one in first])
    shown = np.ones(len(rows), bool)
    if only_whole:
        shown = whole_episodes(group, np.array([one.get("last_frame", -1) for one in first], np.int64))
    own, same = shown & (instruction == OWN), shown & (instruction == SAME_SCENE)
    a, b = (Sides.of(_scores([pair[side] for pair in rows], own), own, same, group) for side in (0, 1))
    if a.gap is None or b.gap is None:
        return None
    return {
        "count": int((own | same).sum()),
        "metric": "same_scene_gap",
        "first": a.gap,
        "second": b.gap,
        "difference": b.gap - a.gap,
        "difference_interval": interval_of(lambda weights: b.statistic(weights) - a.statistic(weights), a.groups),
    }


def _scores(predictions: Sequence[Numbers], own: np.ndarray) -> Float64[np.ndarray, " n"]:
    return scores(np.array([one["predicted"] for one in predictions], np.float64), own)  # None becomes NaN
