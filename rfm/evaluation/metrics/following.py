"""Instruction following within one scene: does the model read the words? No torch.

Every clip of `--eval_set instruction` is asked its own instruction and others of its scene, whose answers are known.
The same frames are seen, so only the words can tell the answers apart; each other instruction makes a pair with the own
one of its clip.

    same_scene_gap  own - same scene over whole episodes; `same_scene_gap_known` is what the known answers give
    followed        the slope of the difference of a pair's scores on that of its known answers (least squares through
                    0): 1 for a model that is right, 0 for one that does not read the words
    pair_accuracy   of pairs whose known answers differ by at least LEAST_DIFFERENCE: does the instruction that is
                    further fulfilled get the higher score? Ties are worth one half, so 0.5 without reading

An answer that could not be parsed is the worst one: the pair counts as ordered wrongly, and by 100.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from rfm.evaluation.metrics.accuracy import WORST_ERROR, Numbers, mean
from rfm.evaluation.metrics.bootstrap import group_codes, interval, interval_of, ratio, sums_by_group
from rfm.evaluation.metrics.confusion import OWN, SAME_SCENE, by_asked, scene_gap, scores

LEAST_DIFFERENCE = 10.0
"""Points of 100."""


def following_metrics(
    predicted: Float64[np.ndarray, " n"],
    known: Float64[np.ndarray, " n"],
    instruction: np.ndarray,
    group: np.ndarray,
    last_frame: Int64[np.ndarray, " n"],
) -> Numbers:
    """Return the module's figures with 95% intervals over videos (`group`), and scores by kind of whole episodes."""
    score, whole = scores(predicted, instruction == OWN), whole_episodes(group, last_frame)
    own, other = _pairs(instruction, group, last_frame)
    given, wanted = predicted[own] - predicted[other], known[own] - known[other]
    given = np.where(np.isnan(given), -WORST_ERROR * np.sign(wanted), given)
    return {
        "count": len(known),
        "videos": len(np.unique(group)),
        "pairs": len(own),
        **scene_gap(score[whole], known[whole], instruction[whole], group[whole]),
        **by_asked(*(column[whole] for column in (score, predicted, known, instruction, group))),
        **_followed(given, wanted, group[own]),
        **_ordered(given, wanted, group[own]),
        "unparsed": int(np.isnan(predicted).sum()),
    }


def whole_episodes(group: np.ndarray, last_frame: Int64[np.ndarray, " n"]) -> np.ndarray:
    """Return which rows show the longest clip of their video; all videos are asked about as a whole."""
    codes, groups = group_codes(group)
    longest = np.full(groups, -1, np.int64)
    np.maximum.at(longest, codes, last_frame)
    return np.asarray(last_frame == longest[codes])


def _pairs(
    instruction: np.ndarray, group: np.ndarray, last_frame: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
    """Return the row of the own instruction beside each row of another one about the same clip."""
    codes, _ = group_codes(group)
    clip = codes * (int(last_frame.max(initial=0)) + 2) + last_frame + 1
    own, other = np.flatnonzero(instruction == OWN), np.flatnonzero(instruction == SAME_SCENE)
    asked, first = np.unique(clip[own], return_index=True)
    at = np.minimum(np.searchsorted(asked, clip[other]), max(len(asked) - 1, 0))
    both = asked[at] == clip[other] if len(asked) else np.zeros(len(other), bool)
    return own[first[at[both]]] if len(asked) else own[:0], other[both]


def _followed(given: Float64[np.ndarray, " p"], wanted: Float64[np.ndarray, " p"], group: np.ndarray) -> Numbers:
    codes, groups = group_codes(group)
    product, square = (sums_by_group(values, codes, groups) for values in (given * wanted, wanted**2))
    slope = float(ratio(product.sum(), square.sum()))
    return {
        "followed": None if np.isnan(slope) else slope,
        "followed_interval": interval_of(lambda weights: ratio(weights @ product, weights @ square), groups),
    }


def _ordered(given: Float64[np.ndarray, " p"], wanted: Float64[np.ndarray, " p"], group: np.ndarray) -> Numbers:
    told = np.abs(wanted) >= LEAST_DIFFERENCE
    right = 0.5 + 0.5 * np.sign(given[told]) * np.sign(wanted[told])
    return {"pair_accuracy": mean(right), "pair_accuracy_interval": interval(right, group[told])}
