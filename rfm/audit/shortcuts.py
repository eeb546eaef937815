"""How well answers are told without looking at content: a classifier on what `viewer` sees.

Gradient-boosted trees learn on one half of the trajectories and are judged on the other, and the other way round; a
row of two trajectories counts only where both lie in one half. They do so with and without the words of the prompt, and
with what each text and source was answered elsewhere (`cells`); the best result stands. In the mixture that a dataset
holds, pairs should stay near 50%, and progress near the error of the best constant answer. At most MOST_ROWS rows of a
type are looked at, 5 s on one core.

Shape legend: n rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from rfm.audit.balance import Z
from rfm.audit.cells import cells, learnt_cells, told_by_cells
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
    prefixes, rows = PAIR_CLIPS[kind], usable_rows(questions, kind, MOST_ROWS)
    text = questions.task.code[rows].astype(np.int64) + 1
    of = cells(text, np.stack([sources[one][rows] for one in prefixes], axis=1))
    judged = _Judged.by(questions, rows, kind, _views(questions, rows, prefixes, sources), of)
    whole = judged.shortcut()
    if whole.overall is None or kind != "progress" or num_frames is None:
        return whole
    short = judged.held_out & _is_short(questions, rows, num_frames)
    within = judged.told(short, short) if LEAST_ROWS <= short.sum() < judged.held_out.sum() else None
    return replace(whole, short_clips=within)


def usable_rows(questions: Questions, kind: str, most: int) -> Int64[np.ndarray, " k"]:
    """Return the rows of a sample type that have all their clips and a readable answer; of more than `most` a draw."""
    usable = questions.of_type(kind) & ~np.isnan(questions.answer)
    for prefix in PAIR_CLIPS[kind]:
        usable &= questions.clips[prefix].present
    rows = np.flatnonzero(usable)
    return rows if len(rows) <= most else np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def judge_by_strategy(
    questions: Questions,
    rows: Int64[np.ndarray, " n"],
    kind: str,
    views: Sequence[Float32[np.ndarray, "n f"]],
    *,
    halvings: int,
) -> Shortcut:
    """Return how well the answers of `rows`, all of one sample type, are told by the best of several views."""
    return _Judged.by(questions, rows, kind, views, halvings=halvings).shortcut()


@dataclass(frozen=True)
class _Judged:
    """Rows with their scores by models that had not seen their trajectories."""

    questions: Questions
    rows: Int64[np.ndarray, " n"]
    kind: str
    group: Int64[np.ndarray, " n"]
    score: Float64[np.ndarray, " n"]
    held_out: Bool[np.ndarray, " n"]

    @staticmethod
    def by(
        questions: Questions,
        rows: Int64[np.ndarray, " n"],
        kind: str,
        views: Sequence[Float32[np.ndarray, "n f"]],
        of: Int64[np.ndarray, "n k"] | None = None,
        *,
        halvings: int | None = None,
    ) -> _Judged:
        """Judge by each of the views, and by the first with cells if there are any; the best result stands."""
        paths = np.stack([questions.clips[prefix].path[rows] for prefix in PAIR_CLIPS[kind]], axis=1)
        answer, scores = questions.answer[rows], _errors if kind == "progress" else _hits
        times = halvings or (1 if len(rows) >= LARGE else SPLITS)
        results = [_cross_judged(features, answer, paths, scores, times) for features in views]
        if of is not None:
            results.append(_cross_judged(views[0], answer, paths, scores, times, of))
        held_out, best = results[0][1], min if kind == "progress" else max
        score = best((one for one, _ in results), key=lambda one: float(one[held_out].mean()) if held_out.any() else 0)
        return _Judged(questions, rows, kind, paths[:, -1], score, held_out)

    def shortcut(self) -> Shortcut:
        """Return what they say of all rows and of each strategy."""
        if self.held_out.sum() < LEAST_ROWS:
            why = f"{int(self.held_out.sum())} rows can be held out by trajectory; {LEAST_ROWS} are needed"
            return Shortcut(None, {}, why)
        told = {
            name: self.told(self.held_out & rows[self.rows], self.held_out)
            for name, rows in self.questions.strategies(self.kind).items()
        }
        overall = self.told(self.held_out, self.held_out)
        return Shortcut(overall, {name: one for name, one in told.items() if one is not None})

    def told(self, chosen: Bool[np.ndarray, " n"], constant_of: Bool[np.ndarray, " n"]) -> Told | None:
        """Return how well some rows are told, beside the best constant answer of `constant_of`."""
        constant = _constant_scores(self.questions.answer[self.rows], constant_of, self.kind)
        return _told(self.score, constant, self.group, chosen)


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
    features: np.ndarray,
    answer: np.ndarray,
    paths: Int64[np.ndarray, "n c"],
    scores: _Scores,
    halvings: int,
    of: Int64[np.ndarray, "n k"] | None = None,
) -> tuple[Float64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Return each row's mean score over the models that had not seen its trajectories, and whether there was one.

    With cells (`cells.cells`), what those of the rows to learn from were answered is added to the features.
    """
    random = np.random.default_rng(0)
    total, times = np.zeros(len(answer)), np.zeros(len(answer))
    for _ in range(halvings):
        half = random.permutation(int(paths.max(initial=0)) + 1) % 2
        side = half[paths]
        inside = (side == side[:, :1]).all(axis=1)
        for held_out in (0, 1):
            learnt, judged = (np.flatnonzero(inside & (side[:, 0] == one)) for one in (1 - held_out, held_out))
            if min(len(learnt), len(judged)) < LEAST_ROWS // 2 or len(np.unique(answer[learnt])) < 2:
                continue
            seen = features[learnt], features[judged]
            if of is not None:
                told = (
                    learnt_cells(of[learnt], answer[learnt], paths[learnt, -1]),
                    told_by_cells(of[learnt], answer[learnt], of[judged]),
                )
                seen = (np.concatenate([seen[0], told[0]], axis=1), np.concatenate([seen[1], told[1]], axis=1))
            total[judged] += scores(seen[0], answer[learnt], seen[1], answer[judged])
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
