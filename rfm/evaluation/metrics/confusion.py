"""Instruction confusion: does the score follow the instruction, or the video alone? No torch.

Each successful video is shown with each task's instruction. The gap is the mean final score with its own instruction
(the diagonal) minus the mean with the others (off it): 100 for a model that understands, 0 for one that ignores the
words. An answer that could not be parsed is the worst one: 0 on the diagonal, 100 off it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from rfm.evaluation.metrics.accuracy import WORST_ERROR, Numbers, mean
from rfm.evaluation.metrics.bootstrap import group_codes, interval_of, ratio, sums_by_group


def confusion_metrics(
    predicted: Float64[np.ndarray, " n"], own_instruction: Bool[np.ndarray, " n"], group: np.ndarray
) -> Numbers:
    """Return the mean scores (0 to 100) on and off the diagonal and their gap, with 95% intervals over videos.

    The gap is None where one side has no row.
    """
    score = np.where(np.isnan(predicted), np.where(own_instruction, 0.0, WORST_ERROR), predicted)
    codes, groups = group_codes(group)
    sides = []
    for side in (own_instruction, ~own_instruction):
        sums = sums_by_group(np.where(side, score, 0.0), codes, groups)
        sides.append((sums, sums_by_group(side.astype(np.float64), codes, groups)))
    (on, on_count), (off, off_count) = sides
    diagonal, off_diagonal = mean(score[own_instruction]), mean(score[~own_instruction])
    return {
        "count": len(score),
        "videos": groups,
        "diagonal": diagonal,
        "diagonal_interval": interval_of(lambda w: ratio(w @ on, w @ on_count), groups),
        "off_diagonal": off_diagonal,
        "off_diagonal_interval": interval_of(lambda w: ratio(w @ off, w @ off_count), groups),
        "gap": None if diagonal is None or off_diagonal is None else diagonal - off_diagonal,
        "gap_interval": interval_of(lambda w: ratio(w @ on, w @ on_count) - ratio(w @ off, w @ off_count), groups),
        "unparsed": int(np.isnan(predicted).sum()),
    }
