"""Questions about clips in memory, as rows, and the answers of a predictor to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rfm.batch.pictures.frame_store import HeldFrames
from rfm.errors import DataError
from rfm.inference.answering.distribution import Distribution
from rfm.inference.prediction import Prediction
from rfm.inference.predictor import Predictor
from rfm.vqa.prompts import prompt

Row = dict[str, Any]
Held = Mapping[str, Any]
"""Clips by the names that rows call them."""


def asked_together(predictor: Predictor, held: Held, rows: Sequence[Row], batch_size: int) -> list[Prediction]:
    """Return the answers to progress rows; what several rows about one clip share is computed once.

    Clips of few rows go together, `batch_size` rows at most: for a small model a call costs more than what it computes.
    """
    by_clip: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        by_clip.setdefault(row["npz_path"], []).append(number)
    alone = [numbers[0] for numbers in by_clip.values() if len(numbers) == 1]
    said = dict(zip(alone, asked(predictor, held, [rows[number] for number in alone], batch_size), strict=True))
    engine = _over(predictor, held)
    for numbers in _together((numbers for numbers in by_clip.values() if len(numbers) > 1), batch_size):
        answers = engine.predict_shared([rows[number] for number in numbers], batch_size)
        said |= dict(zip(numbers, answers, strict=True))
    return [said[number] for number in range(len(rows))]


def _together(clips: Iterable[list[int]], most: int) -> Iterator[list[int]]:
    """Yield the rows of clips that follow each other, at most so many or those of one clip."""
    held: list[int] = []
    for numbers in clips:
        if held and len(held) + len(numbers) > most:
            yield held
            held = []
        held = held + numbers
    if held:
        yield held


def asked(predictor: Predictor, held: Held, rows: Sequence[Row], batch_size: int) -> list[Prediction]:
    """Return the answers to rows; DataError where one can't be shown to the model."""
    said = _over(predictor, held).predict(rows, batch_size, progress=False) if rows else []
    for one in said:
        if one.unreadable is not None:
            raise DataError(one.unreadable)
    return said


def _over(predictor: Predictor, held: Held) -> Predictor:
    return predictor.over(HeldFrames(held, predictor.loaded.spec, predictor.form))


def progress_row(task: str, actor: str, discrete: bool, path: str, indices: list[int]) -> dict[str, Any]:
    """Return the question how far the robot got in these frames of a clip."""
    text = prompt("progress", _bare(task), discrete=discrete, actor=actor)
    return {"sample_type": "progress", "prompt": text, "npz_path": path, "frame_indices": indices}


def preference_row(
    task: str, actor: str, first: tuple[str, list[int]], second: tuple[str, list[int]]
) -> dict[str, Any]:
    """Return the question which of two clips got further, each by its name and shown frames."""
    row: dict[str, Any] = {"sample_type": "preference", "prompt": prompt("preference", _bare(task), actor=actor)}
    for side, (path, indices) in (("first", first), ("second", second)):
        row |= {f"{side}_npz_path": path, f"{side}_frame_indices": indices}
    return row


def _bare(task: str) -> str:
    """Return a task without the spaces around it, which manifests and datasets lose when they are read."""
    return task.strip()


def distribution_of(said: Sequence[Prediction], answers: Sequence[int]) -> Distribution:
    """Return the probabilities of answers to questions of one kind."""
    return Distribution(
        np.array(answers, np.float64),
        np.array([one.probabilities for one in said], np.float64).reshape(len(said), len(answers)),
        np.array([one.leftover for one in said], np.float64),
    )
