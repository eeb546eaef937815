"""Instruction confusion: does the score follow the instruction, or the video alone? No torch.

Each successful video is shown with the instructions whose answer is known, and scores are told apart by whose
instruction was asked: its own, another task's of its scene, another scene's, or one that may be of another scene or not
(rows without `scene_id`). The headline is own - same scene: a model that knows the scene and does not read the words
tells scenes apart and gives both instructions of one scene the same score: the gap to all others hides it.

An answer that could not be parsed is the worst one: 0 for the own instruction, 100 for another. Errors are measured
against the known answer, which need not be 0 within a scene.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.evaluation.metrics.accuracy import WORST_ERROR, Numbers, errors, mean
from rfm.evaluation.metrics.bootstrap import Statistic, group_codes, interval, interval_of, ratio, sums_by_group
from rfm.vqa.schema import INSTRUCTION_KINDS

OWN, SAME_SCENE = INSTRUCTION_KINDS[:2]
OTHER = "other"
"""Another instruction in rows that do not say of which scene."""
ASKED = (*INSTRUCTION_KINDS, OTHER)


def confusion_metrics(
    predicted: Float64[np.ndarray, " n"], known: Float64[np.ndarray, " n"], instruction: np.ndarray, group: np.ndarray
) -> Numbers:
    """Return the mean scores (0 to 100) by whose instruction was asked, and gaps, with 95% intervals over videos.

    `known` are the right answers, `instruction` one of ASKED each. A gap is None where one side has no row. `diagonal`,
    `off_diagonal` and `gap` set the own instruction against all others.
    """
    own = instruction == OWN
    score = scores(predicted, own)
    return {
        "count": len(score),
        "videos": len(np.unique(group)),
        **scene_gap(score, known, instruction, group),
        **by_asked(score, predicted, known, instruction, group),
        "diagonal": mean(score[own]),
        "diagonal_interval": interval(score[own], group[own]),
        "off_diagonal": mean(score[~own]),
        "off_diagonal_interval": interval(score[~own], group[~own]),
        **_gap("gap", Sides.of(score, own, ~own, group)),
        "unparsed": int(np.isnan(predicted).sum()),
    }


def scores(predicted: Float64[np.ndarray, " n"], own: Bool[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return the scores, the worst one where there is none."""
    return np.where(np.isnan(predicted), np.where(own, 0.0, WORST_ERROR), predicted)


def by_asked(
    score: Float64[np.ndarray, " n"],
    predicted: Float64[np.ndarray, " n"],
    known: Float64[np.ndarray, " n"],
    instruction: np.ndarray,
    group: np.ndarray,
) -> dict[str, Numbers]:
    """Return mean score, mean known answer and MAE for each kind of instruction that was asked."""
    error = errors(predicted, known)
    rows = {name: instruction == name for name in ASKED}
    return {
        name: {
            "count": int(at.sum()),
            "score": mean(score[at]),
            "score_interval": interval(score[at], group[at]),
            "known": mean(known[at]),
            "mae": mean(error[at]),
            "mae_interval": interval(error[at], group[at]),
        }
        for name, at in rows.items()
        if at.any()
    }


def scene_gap(
    score: Float64[np.ndarray, " n"], known: Float64[np.ndarray, " n"], instruction: np.ndarray, group: np.ndarray
) -> Numbers:
    """Return the gap own - same scene, its interval, and what it would be with the known answers."""
    own, same = instruction == OWN, instruction == SAME_SCENE
    right = Sides.of(known, own, same, group).gap
    return {**_gap("same_scene_gap", Sides.of(score, own, same, group)), "same_scene_gap_known": right}


class Sides(NamedTuple):
    """Values of two sides by group: what the difference of their means is made of."""

    sums: tuple[Float64[np.ndarray, " g"], Float64[np.ndarray, " g"]]
    counts: tuple[Float64[np.ndarray, " g"], Float64[np.ndarray, " g"]]

    @staticmethod
    def of(
        values: Float64[np.ndarray, " n"],
        one: Bool[np.ndarray, " n"],
        other: Bool[np.ndarray, " n"],
        group: np.ndarray,
    ) -> Sides:
        """Return the sides that hold the rows `one` and `other`."""
        codes, groups = group_codes(group)
        first, second = (_summed(values, side, codes, groups) for side in (one, other))
        return Sides((first[0], second[0]), (first[1], second[1]))

    @property
    def statistic(self) -> Statistic:
        """The difference of the sides' means by resample."""
        (ones, others), (of_one, of_other) = self
        return lambda weights: ratio(weights @ ones, weights @ of_one) - ratio(weights @ others, weights @ of_other)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.sums[0])

    @property
    def gap(self) -> float | None:
        """The difference of the sides' means; None where one has no row."""
        value = float(self.statistic(np.ones((1, self.groups)))[0])
        return None if np.isnan(value) else value


def _gap(name: str, sides: Sides) -> Numbers:
    return {name: sides.gap, f"{name}_interval": interval_of(sides.statistic, sides.groups)}


def _summed(
    values: Float64[np.ndarray, " n"], side: Bool[np.ndarray, " n"], codes: Int64[np.ndarray, " n"], groups: int
) -> tuple[Float64[np.ndarray, " g"], Float64[np.ndarray, " g"]]:
    return sums_by_group(np.where(side, values, 0.0), codes, groups), sums_by_group(side.astype(float), codes, groups)
