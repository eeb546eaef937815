"""What a model answered, from the `predictions` of a results file, row by row of the dataset it was asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rfm.errors import DataError
from rfm.export.results_file import KINDS, read_results
from rfm.trajectories.record import is_number
from rfm.vqa.answers import valid_answers

_FAR = 20.0
"""Points off from which a progress answer is called far off."""
_MOST = 5
"""Probabilities named."""


@dataclass(frozen=True)
class Answers:
    """The predictions of one results file."""

    model: str
    by_row: Mapping[int, Mapping[str, Any]]

    def of(self, row: int) -> dict[str, Any]:
        """Return what a card shows of a row's answer; nothing where the model was not asked."""
        one = self.by_row.get(row)
        if one is None:
            return {"note": "the model was not asked"}
        made = {"said": str(one["completion"]), "outcome": self.outcome(row), "error": round(self.error(row), 4)}
        if reason := one.get("unreadable"):
            made["note"] = f"not asked, its frames can't be read: {reason}"
        chances = chances_of(one)
        most = sorted(chances, key=lambda name: -chances[name])[:_MOST]
        return made | ({"probabilities": [[name, round(chances[name], 4)] for name in most]} if chances else {})

    def error(self, row: int) -> float:
        """Return how wrong it is, from 0 to 1; no answer is as wrong as can be, -1: the model was not asked."""
        one = self.by_row.get(row)
        if one is None or one.get("unreadable"):
            return -1.0
        truth, predicted = one.get("truth"), one.get("predicted")
        if truth is None or predicted is None:
            return 1.0
        if one["sample_type"] == "progress":
            return min(abs(predicted - truth) / 100, 1.0)
        chance = chances_of(one).get(str(int(truth)))
        return (0.0 if predicted == truth else 1.0) if chance is None else 1 - chance

    def outcome(self, row: int) -> str:
        """Return how the answer is called."""
        one = self.by_row.get(row)
        if one is None or one.get("unreadable"):
            return "not asked"
        truth, predicted = one.get("truth"), one.get("predicted")
        if truth is None or predicted is None:
            return "no answer"
        if one["sample_type"] == "progress":
            off = abs(predicted - truth)
            return f"off by more than {_FAR:.0f}" if off > _FAR else "near"
        return "right" if predicted == truth else "wrong"


def read_answers(path: str, config: Mapping[str, Any], dataset_path: str, rows: int) -> Answers:
    """Read the predictions about a dataset as `answers_in` takes them; raises `DataError` also for another file."""
    return answers_in(read_results(path), path, config, dataset_path, rows)


def answers_in(
    results: Mapping[str, Any], path: str, config: Mapping[str, Any], dataset_path: str, rows: int
) -> Answers:
    """Return the predictions of results, read from `path`, about a dataset with this generation configuration.

    Raises:
        DataError: they hold no predictions, or are about other questions.

    """
    if "predictions" not in results:
        raise DataError(f"`predictions` must be results with the model's answers, but {path} has none; evaluate again")
    asked, ours = results.get("dataset_hash"), config.get("content_hash")
    if asked is not None and ours is not None and asked != ours:
        raise DataError(
            f"`predictions` must be about the questions of {dataset_path}, but {path} is about others "
            f"({results.get('dataset_path', 'unknown')}); evaluate the model on these, or browse those"
        )
    by_row = {one["row"]: one for one in results["predictions"]}
    if by_row and max(by_row) >= rows:
        raise DataError(
            f"`predictions` must be about rows of {dataset_path}, which has {rows}, but {path} has row {max(by_row)}"
        )
    return Answers(str(results.get("model_path", path)), by_row)


def chances_of(one: Mapping[str, Any]) -> dict[str, float]:
    """Return the probabilities of a prediction by answer; nothing where it has none for each valid answer."""
    found, kind = one.get("probabilities"), one["sample_type"]
    if kind not in KINDS or not isinstance(found, Sequence) or not all(is_number(value) for value in found):
        return {}
    for discrete in (False, True):
        valid = valid_answers(kind, discrete=discrete)
        if len(valid) == len(found):
            return {str(answer): float(value) for answer, value in zip(valid, found, strict=True)}
    return {}
