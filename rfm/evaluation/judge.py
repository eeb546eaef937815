"""From rows and what was said to them to the numbers of the results file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.evaluation.exam import Exam
from rfm.evaluation.metrics.accuracy import (
    Numbers,
    best_constant_answer,
    best_constant_score,
    by_group,
    preference_metrics,
    progress_metrics,
)
from rfm.vqa.answers import parse_answer, read_answer
from rfm.vqa.schema import INSTRUCTION_KINDS

METRICS: Mapping[str, Callable[..., Numbers]] = {
    "preference": preference_metrics,
    "progress": progress_metrics,
    "similarity": preference_metrics,
}
BREAKDOWNS = ("strategy", "source", "task", "instruction", "clip_length")
"""What metrics are broken down by, under `by_strategy`, …"""
UNKNOWN = "unknown"
"""Strategy, source or kind of instruction of rows that do not say it."""

_PLACE = re.compile(r"[^\s`'(]*/[^\s`'),;]*|(?<![\w-])-?\d+(\.\d+)?(e-?\d+)?\b")
"""What makes the reasons of two rows different: paths and numbers."""
_TRUTH = {"preference": "answer", "progress": "target", "similarity": "answer"}
_MOST_LENGTHS = 8
_BETTER = " > "


@dataclass(frozen=True)
class Sheet:
    """What is needed of n rows to judge answers: all of one sample type."""

    kind: str
    rows: Int64[np.ndarray, " n"]
    """Positions in the dataset."""
    truth: Float64[np.ndarray, " n"]
    """1 or 2; for progress 100 p."""
    group: Int64[np.ndarray, " n"]
    """Trajectory, as a code: what intervals resample. Of pairs, the first clip's."""
    other_group: Int64[np.ndarray, " n"]
    """The second clip's, by the same codes; of progress rows the same."""
    names: Mapping[str, np.ndarray]
    """Each row's strategy, source, task, kind of instruction (`INSTRUCTION_KINDS`) and clip length."""
    quality: np.ndarray
    """Quality label of the clip, "" where unknown; of pairs "successful > failure", the better one first."""
    last_frame: Int64[np.ndarray, " n"]
    """The last frame shown of the clip (of pairs, the first one); -1 where no frames are named."""
    discrete: bool = False

    def judge(self, predicted: Float64[np.ndarray, " n"], breakdowns: Sequence[str] = BREAKDOWNS) -> Numbers:
        """Return the metrics overall and broken down."""
        columns = {"predicted": predicted, _TRUTH[self.kind]: self.truth, "group": self.group}
        return self.broken_down(METRICS[self.kind], columns, breakdowns)

    def broken_down(
        self, metrics: Callable[..., Numbers], columns: Mapping[str, np.ndarray], breakdowns: Sequence[str]
    ) -> Numbers:
        """Return `metrics(**columns)` of all rows and, under `by_…`, of the rows of each strategy, source, …"""
        parts = {f"by_{name}": by_group(self.names[name], metrics, columns) for name in breakdowns}
        return {**metrics(**columns), **parts}

    def best_constant(self) -> Numbers:
        """Return the metrics of the one answer that does best on these very rows."""
        return {"answer": self.constant, **self.judge(np.full(len(self.truth), self.constant), ("strategy",))}

    @property
    def constant(self) -> float:
        """The answer that does best if it is given to all rows."""
        return (best_constant_score if self.kind == "progress" else best_constant_answer)(self.truth)

    def parse(self, completions: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """Return the answers on the scale of `truth`; NaN where there is none."""
        parsed = [parse_answer(self.kind, text) for text in completions]
        values = np.array([np.nan if answer is None else answer for answer in parsed], np.float64)
        if not self.discrete:
            return values
        levels = np.where((values >= 1) & (values <= 5), values, np.nan)
        return (levels - 1) * 25.0

    def select(self, chosen: Bool[np.ndarray, " n"]) -> Sheet:
        """Return the sheet of some of the rows."""
        columns = ("rows", "truth", "group", "other_group", "quality", "last_frame")
        arrays = {name: getattr(self, name)[chosen] for name in columns}
        return replace(self, names={name: column[chosen] for name, column in self.names.items()}, **arrays)

    def flipped(self) -> Sheet:
        """Return the sheet of the same pairs with their videos in the other order."""
        return replace(self, truth=3.0 - self.truth)


def make_sheets(exam: Exam, readable: Bool[np.ndarray, " n"]) -> list[Sheet]:
    """Split the rows that can be judged and were readable by sample type."""
    kinds = np.array(exam.columns["sample_type"])
    usable = readable.copy()
    usable[list(exam.faults)] = False
    chosen = {kind: np.flatnonzero((kinds == kind) & usable) for kind in METRICS}
    return [_sheet(exam, kind, rows) for kind, rows in chosen.items() if len(rows)]


def unreadable_report(reasons: Sequence[str]) -> Numbers:
    """Return how many rows could not be shown or judged, by reason without paths and numbers, with examples."""
    general = [_PLACE.sub("…", reason) for reason in reasons]
    return {
        "count": len(reasons),
        "reasons": dict(Counter(general).most_common()),
        "examples": dict(zip(reversed(general), reversed(reasons), strict=True)),
    }


def _sheet(exam: Exam, kind: str, rows: Int64[np.ndarray, " n"]) -> Sheet:
    first, second = ("", "") if kind == "progress" else ("first_", "second_")
    discrete = exam.discrete and kind == "progress"
    group, other_group = _trajectories(exam, rows, first, second)
    truth = _truth(exam, kind, rows, discrete)
    names = {
        "strategy": _texts(exam, "data_gen_strategy", rows, UNKNOWN),
        "source": _texts(exam, "data_source", rows, UNKNOWN),
        "task": np.array([exam.task_of(row) for row in rows]),
        "instruction": _instructions(exam, rows),
        "clip_length": _lengths([exam.columns[f"{first}frames"][row] or 0 for row in rows]),
    }
    label, other = (_texts(exam, f"{prefix}quality_label", rows, "") for prefix in (first, second))
    pairs = [
        _BETTER.join(pair if answer == 1 else pair[::-1])
        for pair, answer in zip(zip(label.tolist(), other.tolist(), strict=True), truth.tolist(), strict=True)
    ]
    quality = label if kind == "progress" else np.array(pairs)
    last_frame = np.array([exam.columns[f"{first}last_frame"][row] for row in rows], np.int64)
    return Sheet(kind, rows, truth, group, other_group, names, quality, last_frame, discrete)


def _truth(exam: Exam, kind: str, rows: np.ndarray, discrete: bool) -> Float64[np.ndarray, " n"]:
    answers = np.array([read_answer(exam.columns["answer"][row]) for row in rows], np.float64)
    if kind != "progress":
        return answers
    on_scale = (answers - 1) * 25.0 if discrete else answers
    exact = np.array([exam.columns["end_progress"][row] for row in rows], np.float64)  # None becomes NaN
    return np.where(np.isnan(exact), on_scale, 100.0 * exact)


def _trajectories(exam: Exam, rows: np.ndarray, *prefixes: str) -> list[Int64[np.ndarray, " n"]]:
    """Return codes of each row's trajectories; of the row itself where none is recorded."""
    names = [
        str(exam.columns[f"{prefix}trajectory_id"][row] or exam.columns[f"{prefix}npz_path"][row] or f"row {row}")
        for prefix in prefixes
        for row in rows
    ]
    codes = np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return np.split(codes, len(prefixes))


def _texts(exam: Exam, column: str, rows: np.ndarray, unknown: str) -> np.ndarray:
    values: list[Any] = exam.columns[column]
    return np.array([str(values[row] or unknown) for row in rows])


def _instructions(exam: Exam, rows: np.ndarray) -> np.ndarray:
    kinds = _texts(exam, "instruction_kind", rows, UNKNOWN)
    return np.where(np.isin(kinds, INSTRUCTION_KINDS), kinds, UNKNOWN)


def _lengths(frames: Sequence[int]) -> np.ndarray:
    """Name the numbers of frames shown: each by itself, or in doubling ranges where they are many; "05-08"."""
    if len(set(frames)) <= _MOST_LENGTHS:
        return np.array([f"{count:02d}" for count in frames])
    highs = [1 << max(count - 1, 0).bit_length() for count in frames]
    return np.array([f"{high // 2 + 1:02d}-{high:02d}" if high > 2 else f"{high:02d}" for high in highs])
