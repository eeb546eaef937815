"""A model, its controls and baselines on the same rows: ask, parse, judge and compare.

Controls and baselines are judged on the rows that were readable for the model, so every difference is paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from rfm.evaluation.exam import Exam
from rfm.evaluation.judge import BREAKDOWNS, Sheet
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.gaps import best_control, paired_gap, unpaired_gap
from rfm.evaluation.metrics.sets import set_metrics
from rfm.evaluation.rivals.baselines import Baseline
from rfm.evaluation.rivals.controls import BLANK, FLOOR, SWAPPED, controlled
from rfm.evaluation.rivals.floor import non_visual_floor
from rfm.inference.engines.engine import Engine
from rfm.inference.prediction import Prediction

Predicted = Mapping[str, Float64[np.ndarray, " n"]]
"""Answers on the scale of the truth by sample type, in the order of the sheets' rows; NaN where unparsed."""
_FEW = ("strategy",)


@dataclass(frozen=True)
class Contest:
    """The rows to be judged and what the model answered."""

    exam: Exam
    sheets: Sequence[Sheet]
    predicted: Predicted
    batch_size: int = 1
    max_new_tokens: int = 10

    def model(self) -> tuple[Numbers, dict[str, str]]:
        """Return the model's metrics, broken down, and which were not computed and why."""
        computed, not_computed = set_metrics(self.sheets, self.predicted)
        return {**self._judged(self.sheets, self.predicted, BREAKDOWNS), **computed}, not_computed

    def control(self, name: str, model: Engine) -> Numbers:
        """Return the metrics of the same rows under a control, with the gaps that the model is ahead by."""
        if name == FLOOR:
            return self._floor()
        sheets = [sheet for sheet in self.sheets if name != SWAPPED or sheet.kind != "progress"]
        if not sheets:
            return {}
        asked = controlled(self.exam, name, np.concatenate([sheet.rows for sheet in sheets]).tolist())
        said = model.predict(
            asked.rows, self.batch_size, self.max_new_tokens, blank_frames=name == BLANK, label=f"control {name}"
        )
        truth = [sheet.flipped() for sheet in sheets] if name == SWAPPED else sheets
        predicted = parse(truth, said)
        numbers = self._beside(sheets, truth, predicted)
        if name == SWAPPED:
            for sheet in sheets:
                turned = 3.0 - predicted[sheet.kind] == self.predicted[sheet.kind]
                numbers[sheet.kind]["consistent"] = float(turned.mean())
        return {**numbers, "unchanged": asked.unchanged}

    def baseline(self, name: str) -> Numbers:
        """Return the metrics of a baseline on the same rows, with the gaps that the model is ahead by."""
        engine = Baseline(name, self.exam.root, discrete=self.exam.discrete, all_readable=True)
        rows = [int(row) for sheet in self.sheets for row in sheet.rows]
        said = engine.predict(self.exam.dataset.select(rows), len(rows), progress=False) if rows else []
        return self._beside(self.sheets, self.sheets, parse(self.sheets, said))

    def best_constant(self) -> Numbers:
        """Return the metrics of the best constant answers, with the gaps that the model is ahead by."""
        numbers = {sheet.kind: sheet.best_constant() for sheet in self.sheets}
        for sheet in self.sheets:
            constant = np.full(len(sheet.rows), sheet.constant)
            numbers[sheet.kind] |= paired_gap(sheet, self.predicted[sheet.kind], constant, sheet)
        return numbers

    def gaps(self, controls: Mapping[str, Numbers], constant: Numbers) -> Numbers:
        """Return by sample type how far the model is ahead of what does best without its content.

        `swapped` takes no content away, and so is no candidate; the best constant always is one.
        """
        able = {**{name: numbers for name, numbers in controls.items() if name != SWAPPED}, "best_constant": constant}
        return {
            sheet.kind: best_control(
                sheet.kind,
                {name: one[sheet.kind] for name, one in able.items() if "gap" in one.get(sheet.kind, {})},
            )
            for sheet in self.sheets
        }

    def _judged(self, sheets: Sequence[Sheet], predicted: Predicted, breakdowns: Sequence[str]) -> Numbers:
        return {sheet.kind: sheet.judge(predicted[sheet.kind], breakdowns) for sheet in sheets}

    def _beside(self, sheets: Sequence[Sheet], truth: Sequence[Sheet], predicted: Predicted) -> Numbers:
        numbers = self._judged(truth, predicted, _FEW)
        for sheet, judged in zip(sheets, truth, strict=True):
            numbers[sheet.kind] |= paired_gap(sheet, self.predicted[sheet.kind], predicted[sheet.kind], judged)
        computed, _ = set_metrics(truth, predicted, ())
        return {**numbers, **computed}

    def _floor(self) -> Numbers:
        numbers = non_visual_floor(self.exam)
        for sheet in self.sheets:
            floor = numbers.get(sheet.kind, {})
            if "why_not" not in floor and floor:
                floor |= unpaired_gap(sheet.kind, sheet.judge(self.predicted[sheet.kind], ()), floor)
        return numbers


def parse(sheets: Sequence[Sheet], said: Sequence[Prediction]) -> Predicted:
    """Return the answers to the rows of the sheets, one sheet after the other, by sample type."""
    starts = np.cumsum([0, *(len(sheet.rows) for sheet in sheets)])
    parts = [said[start:stop] for start, stop in pairwise(starts)]
    return {sheet.kind: _parsed(sheet, part) for sheet, part in zip(sheets, parts, strict=True)}


def _parsed(sheet: Sheet, said: Sequence[Prediction]) -> Float64[np.ndarray, " n"]:
    """Return the answers; a progress score that is known more finely than its text says is taken as it is."""
    parsed = sheet.parse([one.text for one in said])
    finer = np.array([one.score for one in said], np.float64)  # None becomes NaN
    return np.where(np.isnan(finer), parsed, finer)
