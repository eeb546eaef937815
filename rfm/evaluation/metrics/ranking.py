"""Policy ranking: do better episodes of a task get higher scores? No torch.

Pairs of episodes of one task, scored at their ends. A pair agrees (+1), disagrees (-1) or is tied (0); an episode whose
answer could not be parsed disagrees with every other.

    tau_a          per task as Robometer computes it: the mean over all choices of one episode of each quality of
                   Kendall's tau, ties in the denominator. Tau is a mean over pairs, so that is the mean over pairs of
                   qualities of the mean agreement of their episodes. 1 for a perfect order, 0 for a constant score.
    tau_b          per task over all its episodes (Kendall 1945): ties of quality or score leave the denominator on
                   their side; 0 where undefined. Below 1 even for a perfect order if equals get unequal scores.
    pair_accuracy  over all pairs of different quality of all tasks, ties worth one half.

Taus are means over tasks that have two qualities. Cost: RESAMPLES x episodes^2 a task.

Shape legend: e episodes of a task, r resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float64, Int64

from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.bootstrap import Statistic, group_codes, interval_of, mean_of_defined, ratio

_ROWS = 1024
"""Episodes whose pairs are looked at together: bounds memory at _ROWS x e."""


def ranking_metrics(
    predicted: Float64[np.ndarray, " n"], quality: Int64[np.ndarray, " n"], task: np.ndarray, group: np.ndarray
) -> Numbers:
    """Return taus and pair accuracy with 95% intervals over trajectories; `quality` rises with the better."""
    codes, groups = group_codes(group)
    tasks = [_Task(predicted[at], quality[at], codes[at]) for at in _rows_by_task(task)]
    tasks = [one for one in tasks if one.rankable]
    one_of_each = np.ones((1, groups))
    numbers: Numbers = {"episodes": sum(len(one.episode) for one in tasks), "tasks": len(tasks)}
    numbers["pairs"] = int(sum(one.pairs(one_of_each)[1][0] for one in tasks))
    for name, statistic in _statistics(tasks).items():
        value = float(statistic(one_of_each)[0]) if tasks else float("nan")
        numbers[name] = None if np.isnan(value) else value
        numbers[f"{name}_interval"] = interval_of(statistic, groups) if tasks else None
    return {**numbers, "unparsed": int(np.isnan(predicted).sum())}


def _statistics(tasks: list[_Task]) -> dict[str, Statistic]:
    return {
        "tau_a": lambda weights: mean_of_defined(np.stack([one.tau_a(weights) for one in tasks], axis=1)),
        "tau_b": lambda weights: mean_of_defined(np.stack([one.tau_b(weights) for one in tasks], axis=1)),
        "pair_accuracy": lambda weights: _pair_accuracy(tasks, weights),
    }


def _pair_accuracy(tasks: list[_Task], weights: Float64[np.ndarray, "r g"]) -> Float64[np.ndarray, " r"]:
    agreement, count = (np.sum(part, axis=0) for part in zip(*(one.pairs(weights) for one in tasks), strict=True))
    return (1.0 + ratio(agreement, count)) / 2.0


@dataclass(frozen=True)
class _Task:
    """The e episodes of one task."""

    score: Float64[np.ndarray, " e"]
    quality: Int64[np.ndarray, " e"]
    episode: Int64[np.ndarray, " e"]
    """Column of the weights."""

    @property
    def rankable(self) -> bool:
        return len(np.unique(self.quality)) >= 2

    def tau_a(self, weights: Float64[np.ndarray, "r g"]) -> Float64[np.ndarray, " r"]:
        parts = [self._of_qualities(weights, low, high) for low, high in combinations(np.unique(self.quality), 2)]
        return mean_of_defined(np.stack([ratio(agreement, count) for agreement, count in parts], axis=1))

    def pairs(self, weights: Float64[np.ndarray, "r g"]) -> tuple[Float64[np.ndarray, " r"], Float64[np.ndarray, " r"]]:
        """Return agreement and number of the pairs of different quality."""
        parts = [self._of_qualities(weights, low, high) for low, high in combinations(np.unique(self.quality), 2)]
        agreement, count = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
        return agreement, count

    def tau_b(self, weights: Float64[np.ndarray, "r g"]) -> Float64[np.ndarray, " r"]:
        """Kendall's tau-b, 0 where undefined; NaN where the resample has no two qualities."""
        own = weights[:, self.episode]
        agreement, untied, ordered = (np.zeros(len(weights)) for _ in range(3))
        for rows in _blocks(len(self.score)):
            by_quality = np.sign(self.quality[rows, None] - self.quality[None, :]).astype(np.float64)
            by_score = _signs(self.score[rows, None] - self.score[None, :], by_quality)
            for total, signs in (
                (agreement, by_quality * by_score),
                (untied, np.abs(by_score)),
                (ordered, np.abs(by_quality)),
            ):
                total += np.einsum("re,re->r", own[:, rows] @ signs, own)
        tau = np.nan_to_num(ratio(agreement, np.sqrt(untied * ordered)))
        return np.where(ordered > 0, tau, np.nan)

    def _of_qualities(
        self, weights: Float64[np.ndarray, "r g"], low: int, high: int
    ) -> tuple[Float64[np.ndarray, " r"], Float64[np.ndarray, " r"]]:
        """Return the agreement and the number of the pairs of two qualities."""
        worse, better = np.flatnonzero(self.quality == low), np.flatnonzero(self.quality == high)
        of_worse, of_better = weights[:, self.episode[worse]], weights[:, self.episode[better]]
        agreement = np.zeros(len(weights))
        for rows in _blocks(len(better)):
            agreed = _signs(self.score[better[rows], None] - self.score[None, worse], 1.0)
            agreement += np.einsum("re,re->r", of_better[:, rows] @ agreed, of_worse)
        return agreement, of_better.sum(axis=1) * of_worse.sum(axis=1)


def _signs(difference: Float64[np.ndarray, "a b"], wanted: Float64[np.ndarray, "a b"] | float) -> np.ndarray:
    """Return the signs of score differences; the opposite of `wanted` where one of the two was not parsed."""
    return np.where(np.isnan(difference), -wanted, np.sign(difference))


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, start + _ROWS)


def _rows_by_task(task: np.ndarray) -> Iterator[Int64[np.ndarray, " e"]]:
    codes, tasks = group_codes(task)
    for one in range(tasks):
        yield np.flatnonzero(codes == one)
