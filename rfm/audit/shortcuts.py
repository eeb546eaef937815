"""How well answers are told without looking at content: a classifier on what `viewer` sees.

Gradient-boosted trees learn on one half of the trajectories and are judged on the other, and the other way round; a
row of two trajectories counts only where both lie in one half. They do so with and without the words of the prompt, and
the better result stands. In the mixture that a dataset holds, pairs should stay near 50%, and progress near the error
of the best constant answer. At most MOST_ROWS rows of a type are looked at, 3 s on one core.

Shape legend: n rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from rfm.audit.balance import Z
from rfm.audit.reading.questions import Questions
from rfm.audit.viewer import viewer_features, words

_SURE = 2.58
MOST_ROWS = 40_000
LEAST_ROWS = 100
"""Rows to learn from and to be judged on, at least; with fewer nothing is measured."""
SPLITS = 4
"""Random halvings, of which each gives two models; one is enough from LARGE rows on. Measured on 1200 rows with answers
drawn by a coin: one halving passes 0.55 in 5 of 60 draws, since its two models are not independent, three in none."""
LARGE = 10_000
MOST_SHOWN = 0.25
"""Share of an episode that a clip may show without telling its end by arithmetic: one of half can't end early."""

PAIR_CLIPS: Mapping[str, tuple[str, ...]] = {
    "preference": ("first_", "second_"),
    "similarity": ("reference_", "first_", "second_"),
    "progress": ("",),
}


@dataclass(frozen=True)
class Told:
    """How well some rows' answers were told."""

    rows: int
    mean: float
    """Accuracy in [0, 1] of pairs; mean absolute error of progress answers."""
    standard_error: float
    """Of the mean, rows of one trajectory taken together, if that makes it larger."""
    constant: float
    """The same of the best constant answer."""

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean."""
        return self.mean - Z * self.standard_error, self.mean + Z * self.standard_error

    def surely_off(self, value: float) -> bool:
        """Return whether the mean is off a value by more than chance, which is given 1 in 100."""
        return abs(self.mean - value) > _SURE * self.standard_error


@dataclass(frozen=True)
class Shortcut:
    """What was measured of one sample type; `why_not` says why nothing was."""

    overall: Told | None
    by_strategy: dict[str, Told]
    why_not: str = ""
    short_clips: Told | None = None
    """Of progress clips that show at most MOST_SHOWN of their episode, beside their own best constant; None where the
    lengths of episodes are not known, or where these are all rows or too few."""


def measure_shortcut(
    questions: Questions,
    kind: str,
    sources: Mapping[str, np.ndarray],
    num_frames: Int64[np.ndarray, " p"] | None = None,
) -> Shortcut:
    """Return how well the answers of a sample type can be told.

    `sources` are the clips' source codes by prefix, `num_frames` the lengths of the episodes in `questions.paths`, -1
    where not known; without them `short_clips` is None.
    """
    prefixes = PAIR_CLIPS[kind]
    usable = questions.of_type(kind) & ~np.isnan(questions.answer)
    for prefix in prefixes:
        usable &= questions.clips[prefix].present
    rows = np.flatnonzero(usable)
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    paths = np.stack([questions.clips[prefix].path[rows] for prefix in prefixes], axis=1)
    answer, of_type = questions.answer[rows], _errors if kind == "progress" else _hits
    views = _views(questions, rows, prefixes, sources)
    results = [_cross_judged(features, answer, paths, of_type) for features in views]
    judged = results[0][1]
    if judged.sum() < LEAST_ROWS:
        return Shortcut(None, {}, f"{int(judged.sum())} rows can be held out by trajectory; {LEAST_ROWS} are needed")
    best = min if kind == "progress" else max
    score = best((score for score, _ in results), key=lambda one: float(one[judged].mean()))
    constant = _constant_scores(answer, judged, kind)
    told = {
        name: _told(score, constant, paths[:, -1], judged & of[rows]) for name, of in questions.strategies(kind).items()
    }
    overall = _told(score, constant, paths[:, -1], judged)
    within = None
    if kind == "progress" and num_frames is not None:
        short = judged & _is_short(questions, rows, num_frames)
        if LEAST_ROWS <= short.sum() < judged.sum():
            within = _told(score, _constant_scores(answer, short, kind), paths[:, -1], short)
    return Shortcut(overall, {name: one for name, one in told.items() if one is not None}, short_clips=within)


def _is_short(
    questions: Questions, rows: Int64[np.ndarray, " n"], num_frames: Int64[np.ndarray, " p"]
) -> Bool[np.ndarray, " n"]:
    """Return which progress clips show at most MOST_SHOWN of their episode, different frames counted."""
    clip = questions.clips[""]
    return clip.distinct[rows] <= MOST_SHOWN * num_frames[clip.path[rows]]


def _views(
    questions: Questions, rows: Int64[np.ndarray, " n"], prefixes: tuple[str, ...], sources: Mapping[str, np.ndarray]
) -> list[Float32[np.ndarray, "n f"]]:
    """Return the features without words and, where prompts differ, with them: words may help, or only be noise."""
    seen = viewer_features(questions, rows, prefixes, dict(sources))
    told = words(questions.prompt, rows)
    return [seen, np.concatenate([seen, told], axis=1)] if told.shape[1] else [seen]


_Scores = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _cross_judged(
    features: np.ndarray, answer: np.ndarray, paths: Int64[np.ndarray, "n c"], scores: _Scores
) -> tuple[Float64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Return each row's mean score over the models that had not seen its trajectories, and whether there was one."""
    random = np.random.default_rng(0)
    total, times = np.zeros(len(answer)), np.zeros(len(answer))
    for _ in range(1 if len(answer) >= LARGE else SPLITS):
        half = random.permutation(int(paths.max(initial=0)) + 1) % 2
        side = half[paths]
        inside = (side == side[:, :1]).all(axis=1)
        for held_out in (0, 1):
            learnt, judged = (np.flatnonzero(inside & (side[:, 0] == one)) for one in (1 - held_out, held_out))
            if min(len(learnt), len(judged)) < LEAST_ROWS // 2 or len(np.unique(answer[learnt])) < 2:
                continue
            total[judged] += scores(features[learnt], answer[learnt], features[judged], answer[judged])
            times[judged] += 1
    return total / np.maximum(times, 1), times > 0


def _hits(features: np.ndarray, answer: np.ndarray, held_out: np.ndarray, truth: np.ndarray) -> np.ndarray:
    model = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=10, early_stopping=False, random_state=0)
    return (model.fit(features, answer).predict(held_out) == truth).astype(np.float64)


def _errors(features: np.ndarray, answer: np.ndarray, held_out: np.ndarray, truth: np.ndarray) -> np.ndarray:
    model = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=60, min_samples_leaf=10, early_stopping=False, random_state=0
    )
    return np.abs(model.fit(features, answer).predict(held_out) - truth)


def _constant_scores(answer: np.ndarray, judged: np.ndarray, kind: str) -> Float64[np.ndarray, " n"]:
    if kind == "progress":
        return np.abs(answer - np.median(answer[judged]))
    values, counts = np.unique(answer[judged], return_counts=True)
    return (answer == values[counts.argmax()]).astype(np.float64)


def _told(score: np.ndarray, constant: np.ndarray, group: np.ndarray, rows: np.ndarray) -> Told | None:
    if not rows.any():
        return None
    values = score[rows]
    mean = float(values.mean())
    by_trajectory = np.bincount(group[rows], values - mean)  # rows of one trajectory are not independent
    error = np.sqrt(max((by_trajectory**2).sum(), ((values - mean) ** 2).sum())) / len(values)
    return Told(len(values), mean, float(error), float(constant[rows].mean()))
