"""The figures that are kept of results files: a number, its 95% interval, and on how many episodes or rows it rests.

`FIGURES` says what each figure is, where it stands in a results file, which way is better, what guessing would give and
from where on it is good for use. `figures_of` takes those of a model, and of each rival (baseline, control, best
constant) on the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rfm.evaluation.metrics.accuracy import Numbers, mean
from rfm.evaluation.metrics.bootstrap import interval

MIXTURE = "mixture"
"""The kind of questions that training has; the others are evaluation sets."""


class Answers(NamedTuple):
    """What came out for one kind of question."""

    kind: str
    results: Numbers | None
    """Content of the results file; None where nothing could be asked."""
    why_not: str | None
    questions: Path
    """The VQA dataset that was asked."""


class Figure(NamedTuple):
    """What one number says."""

    title: str
    kind: str
    """Of the questions."""
    path: tuple[str, ...]
    """Where it stands in the results of a contestant."""
    digits: int = 2
    rises: bool = True
    """Whether more is better."""
    guess: float | None = None
    """What it is without looking; None where that is measured (the best constant answer), or has no meaning."""
    good: float | None = None
    """From here on, the whole interval: fit for use."""


FIGURES: Mapping[str, Figure] = {
    "preference": Figure("preference accuracy", MIXTURE, ("preference", "accuracy"), guess=0.5, good=0.9),
    "mae": Figure("MAE of progress (0 to 100)", MIXTURE, ("progress", "mae"), 1, rises=False, good=10.0),
    "pearson": Figure("VOC, Pearson", "prefixes", ("reward_alignment", "pearson"), guess=0.0, good=0.85),
    "spearman": Figure("VOC, Spearman", "prefixes", ("reward_alignment", "spearman"), guess=0.0, good=0.85),
    "tau_a": Figure("ranking, tau-a", "ranking", ("policy_ranking", "tau_a"), guess=0.0, good=0.7),
    "tau_b": Figure("ranking, tau-b", "ranking", ("policy_ranking", "tau_b"), guess=0.0, good=0.6),
    "pair_accuracy": Figure(
        "ranking, pair accuracy", "ranking", ("policy_ranking", "pair_accuracy"), guess=0.5, good=0.85
    ),
    "quality": Figure("quality preference", "quality", ("quality_preference", "accuracy"), guess=0.5, good=0.9),
    "own": Figure("score of successes, own instruction", "confusion", ("instruction_confusion", "own", "score"), 1),
    "same_scene": Figure(
        "… another one of the same scene", "confusion", ("instruction_confusion", "same_scene", "score"), 1, rises=False
    ),
    "other_scene": Figure(
        "… one of another scene", "confusion", ("instruction_confusion", "other_scene", "score"), 1, rises=False
    ),
    "gap": Figure(
        "own - same scene", "confusion", ("instruction_confusion", "same_scene_gap"), 1, guess=0.0, good=60.0
    ),
    "words": Figure(
        "which instruction of the scene? (pair accuracy)",
        "instruction",
        ("instruction_following", "pair_accuracy"),
        guess=0.5,
        good=0.85,
    ),
    "followed": Figure(
        "… slope on the right answers", "instruction", ("instruction_following", "followed"), guess=0.0, good=0.8
    ),
    "same_scene_0": Figure(
        "another of the scene, where 0 is right",
        "instruction",
        ("instruction_following", "same_scene_0", "score"),
        1,
        rises=False,
    ),
    "same_scene_more": Figure(
        "… its error where more is right",
        "instruction",
        ("instruction_following", "same_scene_more", "mae"),
        1,
        rises=False,
    ),
    "ece_preference": Figure(
        "calibration error, preference", MIXTURE, ("calibration", "preference", "ece"), 3, rises=False
    ),
    "ece_progress": Figure("calibration error, progress", MIXTURE, ("calibration", "progress", "ece"), 3, rises=False),
}
RIVALS = {
    "best_constant": "best constant answer",
    "random": "random answers",
    "frame_difference": "how far the last frame is from the first",
    "blank": "model, grey frames",
    "first_frame": "model, first frame alone",
    "last_frame": "model, last frame alone",
    "shuffled": "model, frames shuffled",
    "reversed": "model, frames backwards",
    "frozen_tail": "model, first half alone",
    "other_instruction": "model, words of another task",
    "floor": "classifier without frames",
}
"""Baselines and controls in the order in which they are shown."""
MEASURED = {"preference": "preference", "progress": "mae"}
"""The figure that says how well questions of a type are answered."""
COUNTS = ("count", "trajectories", "episodes", "pairs", "events")


def with_same_scene(results: Numbers) -> Numbers:
    """Return results of `--eval_set instruction` with instructions of the same scene told apart by the right answer."""
    rows = [
        one
        for one in results.get("predictions", ())
        if one.get("instruction") == "same_scene" and one["predicted"] is not None
    ]
    following = results.get("instruction_following")
    if following is None or not rows:
        return results
    truth, said, group = (np.array([one[name] for one in rows]) for name in ("truth", "predicted", "trajectory"))
    parts = {"same_scene_0": ("score", said, truth == 0), "same_scene_more": ("mae", np.abs(said - truth), truth > 0)}
    told = {
        name: {"count": int(at.sum()), key: mean(value[at]), f"{key}_interval": interval(value[at], group[at])}
        for name, (key, value, at) in parts.items()
        if at.any()
    }
    return {**results, "instruction_following": {**following, **told}}


def figures_of(answers: Sequence[Answers]) -> Numbers:
    """Return the model's figures by name, those of its rivals, and why others are missing."""
    by_kind = {one.kind: one for one in answers}
    found: Numbers = {"model": {}, "rivals": {}, "missing": {}, "ahead": _ahead(by_kind[MIXTURE].results or {})}
    for name, figure in FIGURES.items():
        one = by_kind[figure.kind]
        value = None if one.results is None else number(one.results, figure.path)
        if value is None:
            found["missing"][name] = one.why_not or _why_not(one.results or {}, figure)
            continue
        found["model"][name] = value
        for rival, numbers in _rivals(one.results or {}).items():
            if (beside := number(numbers, figure.path)) is not None:
                found["rivals"].setdefault(rival, {})[name] = beside
    return found


def _ahead(results: Mapping[str, Any]) -> Numbers:
    """Return how far the model is ahead of its best control or constant, row by row: accuracy, or MAE saved."""
    return {
        kind: {"value": one["gap"], "interval": one.get("gap_interval"), "over": one["best_control"]}
        for kind, one in results.get("gap", {}).items()
        if one.get("gap") is not None
    }


def number(results: Mapping[str, Any], path: Sequence[str]) -> Numbers | None:
    """Return the figure at a path with its interval and count; None where it is not there."""
    holder: Any = results
    for name in path[:-1]:
        holder = holder.get(name) or {}
    value = holder.get(path[-1])
    if value is None:
        return None
    interval = holder.get(f"{path[-1]}_interval")
    count = next((holder[name] for name in COUNTS if holder.get(name) is not None), None)
    known = {"known": holder["known"]} if "known" in holder else {}
    return {"value": value, "interval": interval, "count": count, **known}


def _why_not(results: Mapping[str, Any], figure: Figure) -> str:
    reasons = results.get("not_computed", {})
    named = (name for name in (figure.path[-1], *figure.path) if name in reasons)
    return reasons.get(next(named, ""), "no such rows on this side")


def _rivals(results: Mapping[str, Any]) -> Numbers:
    """Return the contestants beside the model."""
    return {
        **results.get("baselines", {}),
        **results.get("controls", {}),
        "best_constant": results.get("best_constant", {}),
    }
