"""From rows and what was said to them to the numbers of the results file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from rfm.errors import DataError
from rfm.evaluation.metrics import (
    Numbers,
    best_constant_answer,
    best_constant_score,
    by_group,
    preference_metrics,
    progress_metrics,
)
from rfm.vqa.answers import parse_answer

METRICS: Mapping[str, Callable[..., Numbers]] = {
    "preference": preference_metrics,
    "progress": progress_metrics,
    "similarity": preference_metrics,
}
_PLACE = re.compile(r"[^\s`'(]*/[^\s`'),;]*|\d+")
"""What makes the reasons of two rows different: paths and numbers."""
_TRUTH = {"preference": "answer", "progress": "target", "similarity": "answer"}


@dataclass(frozen=True)
class Sheet:
    """What is needed of n rows to judge answers: all of one sample type."""

    kind: str
    rows: Int64[np.ndarray, " n"]
    """Positions in the dataset."""
    truth: Float64[np.ndarray, " n"]
    """1 or 2; for progress 100 p."""
    group: Int64[np.ndarray, " n"]
    """Trajectory, as a code: what intervals resample."""
    strategy: np.ndarray
    discrete: bool = False

    def judge(self, predicted: Float64[np.ndarray, " n"]) -> Numbers:
        """Return the metrics overall and by strategy."""
        metrics = METRICS[self.kind]
        columns = {"predicted": predicted, _TRUTH[self.kind]: self.truth, "group": self.group}
        return {**metrics(**columns), "by_strategy": by_group(self.strategy, metrics, columns)}

    def best_constant(self) -> Numbers:
        """Return the metrics of the one answer that does best on these very rows."""
        best = best_constant_score if self.kind == "progress" else best_constant_answer
        constant = best(self.truth)
        return {"answer": constant, **self.judge(np.full(len(self.truth), constant))}

    def parse(self, completions: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """Return the answers on the scale of `truth`; NaN where there is none."""
        parsed = [parse_answer(self.kind, text) for text in completions]
        values = np.array([np.nan if answer is None else answer for answer in parsed], np.float64)
        if not self.discrete:
            return values
        levels = np.where((values >= 1) & (values <= 5), values, np.nan)
        return (levels - 1) * 25.0


def make_sheets(columns: Mapping[str, Sequence[Any]], readable: np.ndarray, *, discrete: bool) -> list[Sheet]:
    """Split the readable rows of a dataset by sample type."""
    kinds = np.array(columns["sample_type"])
    sheets = []
    for kind in METRICS:
        rows = np.flatnonzero((kinds == kind) & readable)
        if len(rows):
            strategies = columns.get("data_gen_strategy") or ["unknown"] * len(kinds)
            strategy = np.array([str(strategies[int(row)]) for row in rows])
            is_discrete = discrete and kind == "progress"
            sheets.append(
                Sheet(
                    kind,
                    rows,
                    _truth(columns, kind, rows, is_discrete),
                    _groups(columns, kind, rows),
                    strategy,
                    is_discrete,
                )
            )
    return sheets


def unreadable_report(reasons: Sequence[str]) -> Numbers:
    """Return how many rows could not be shown to the model, by reason without paths and numbers, with examples."""
    general = [_PLACE.sub("…", reason) for reason in reasons]
    return {
        "count": len(reasons),
        "reasons": dict(Counter(general).most_common()),
        "examples": dict(zip(reversed(general), reversed(reasons), strict=True)),
    }


def _truth(columns: Mapping[str, Sequence[Any]], kind: str, rows: np.ndarray, discrete: bool) -> np.ndarray:
    answers = np.array([_number(columns["answer"][row], int(row)) for row in rows])
    if kind != "progress":
        return answers
    on_scale = (answers - 1) * 25.0 if discrete else answers
    recorded = columns.get("end_progress")
    if recorded is None:
        return on_scale
    exact = np.array([np.nan if recorded[row] is None else recorded[row] for row in rows], np.float64)
    return np.where(np.isnan(exact), on_scale, 100.0 * exact)


def _number(answer: Any, row: int) -> float:
    try:
        return float(answer)
    except (TypeError, ValueError):
        raise DataError(
            f"`answer` must be a number in every row, but is {answer!r} in row {row}; generate the dataset again"
        ) from None


def _groups(columns: Mapping[str, Sequence[Any]], kind: str, rows: np.ndarray) -> np.ndarray:
    """Return a code of each row's trajectory, the first clip's for pairs; of the row itself where none is recorded."""
    prefix = "" if kind == "progress" else "first_"
    for name in (f"{prefix}trajectory_id", f"{prefix}npz_path"):
        if name in columns:
            return np.unique([str(columns[name][row]) for row in rows], return_inverse=True)[1].astype(np.int64)
    return np.arange(len(rows))
