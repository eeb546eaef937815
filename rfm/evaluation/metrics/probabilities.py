"""What can be said of a model that gives probabilities and not only answers: calibration, temperature, other answers.

Only engines that score answers give them (`--decoding scored`); where some rows have none, nothing is computed and the
results say so. The temperature of a sample type is fitted on the rows of another dataset (`--calibrate_on`), never on
those that are judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from jaxtyping import Float64, Int64

from rfm.evaluation.exam import Exam
from rfm.evaluation.judge import BREAKDOWNS, Sheet
from rfm.evaluation.metrics.accuracy import Numbers, progress_metrics
from rfm.evaluation.metrics.calibration import at_temperature, calibration_metrics, fit_temperature
from rfm.inference.answering.distribution import Distribution
from rfm.inference.prediction import Prediction
from rfm.vqa.answers import read_answer, valid_answers

LACKING = "needs probabilities, which the model gave to none or not all of the rows: ask with --decoding scored"
_THRESHOLDS = np.arange(10.0, 101.0, 10.0)

Said = Mapping[int, Prediction]


def calibrations(exam: Exam, sheets: Sequence[Sheet], said: Said, temperatures: Mapping[str, float]) -> Numbers:
    """Return calibration by sample type, also at the fitted temperatures; {} where rows lack probabilities."""
    found: Numbers = {}
    for sheet in sheets:
        probability = probabilities(sheet, said)
        if probability is None:
            return {}
        found[sheet.kind] = _calibration(exam, sheet, probability, BREAKDOWNS)
        if sheet.kind in temperatures:
            mended = at_temperature(probability, temperatures[sheet.kind])
            found[sheet.kind]["temperature"] = temperatures[sheet.kind]
            found[sheet.kind]["at_temperature"] = _calibration(exam, sheet, mended, ())
    return found


def fitted_temperatures(exam: Exam, sheets: Sequence[Sheet], said: Said) -> dict[str, float]:
    """Return the temperature of each sample type of a validation set; {} where rows lack probabilities."""
    found = {}
    for sheet in sheets:
        probability = probabilities(sheet, said)
        if probability is not None:
            found[sheet.kind] = fit_temperature(probability, _right(exam, sheet))
    return found


def other_answers(sheet: Sheet, said: Said) -> Numbers:
    """Return the progress metrics of other numbers than the median that a distribution can be summed up by."""
    probability = probabilities(sheet, said)
    if probability is None or sheet.kind != "progress":
        return {}
    answers = np.array(valid_answers(sheet.kind, discrete=sheet.discrete), np.float64)
    scores = Distribution(answers, probability, np.zeros(len(probability)))
    on_scale = {"mean": scores.mean(), "mode": scores.mode()}
    return {
        name: progress_metrics((values - 1) * 25.0 if sheet.discrete else values, sheet.truth, sheet.group)
        for name, values in on_scale.items()
    }


def probabilities(sheet: Sheet, said: Said) -> Float64[np.ndarray, "n k"] | None:
    """Return the probabilities of the valid answers to a sheet's rows; None where a row has none."""
    rows = [said[int(row)].probabilities for row in sheet.rows]
    return None if any(row is None for row in rows) else np.array(rows, np.float64)


def _calibration(
    exam: Exam, sheet: Sheet, probability: Float64[np.ndarray, "n k"], breakdowns: Sequence[str]
) -> Numbers:
    answers = np.array(valid_answers(sheet.kind, discrete=sheet.discrete), np.float64)
    if sheet.kind == "progress":
        metrics = partial(calibration_metrics, events=answers[1:] if sheet.discrete else _THRESHOLDS, answers=answers)
    else:  # the event "the answer is 1", written as "minus the answer is at least -1"
        metrics = partial(calibration_metrics, events=np.array([-1.0]), answers=-answers)
    columns = {"probability": probability, "right": _right(exam, sheet), "group": sheet.group}
    return sheet.broken_down(metrics, columns, breakdowns)


def _right(exam: Exam, sheet: Sheet) -> Int64[np.ndarray, " n"]:
    """Return the index of each row's right answer among the valid ones."""
    first = valid_answers(sheet.kind, discrete=sheet.discrete)[0]
    return np.array([read_answer(exam.columns["answer"][row]) for row in sheet.rows], np.int64) - first
