"""Single predictions as they are saved, for reading and for `rfm compare`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from rfm.evaluation.contest import Predicted
from rfm.evaluation.exam import Exam
from rfm.evaluation.judge import Sheet
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.inference.prediction import Prediction


def saved_predictions(
    exam: Exam, sheets: Sequence[Sheet], predicted: Predicted, said: Mapping[int, Prediction]
) -> list[Numbers]:
    """Return one object a row of the dataset; rows that could not be judged say why."""
    judged = {row: numbers for sheet in sheets for row, numbers in _judged(sheet, predicted[sheet.kind])}
    return [
        {
            "row": row,
            "sample_type": exam.columns["sample_type"][row],
            "answer": exam.columns["answer"][row],
            "completion": said[row].text if row in said else "",
            "unreadable": exam.faults.get(row) or said[row].unreadable,
            **(_scores(said[row]) if row in said else {}),
            **judged.get(row, {}),
        }
        for row in range(len(exam))
    ]


def _scores(one: Prediction) -> Numbers:
    """Return probabilities and draws, where the decoding gave any."""
    return {name: value for name, value in one.to_json().items() if name in ("probabilities", "leftover", "samples")}


def _judged(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> list[tuple[int, Numbers]]:
    columns = zip(
        sheet.rows.tolist(),
        sheet.truth.tolist(),
        predicted.tolist(),
        sheet.group.tolist(),
        sheet.names["task"].tolist(),
        sheet.names["strategy"].tolist(),
        sheet.names["instruction"].tolist(),
        sheet.last_frame.tolist(),
        strict=True,
    )
    return [
        (
            row,
            {
                "truth": truth,
                "predicted": None if math.isnan(value) else value,
                "trajectory": group,
                "task": task,
                "strategy": strategy,
                "instruction": instruction,
                "last_frame": last,
            },
        )
        for row, truth, value, group, task, strategy, instruction, last in columns
    ]
