"""Prompting baselines: what a stock model is worth without training, by two ways of asking it.

    gvl         completion percentages of shuffled frames (`gvl`); a clip's score is its last frame's
    topreward   how probable "True" is as the answer to whether the video shows the task completed (TOPReward, 2026)
    roboreward  a level from 1 to 5 by a rubric (`roboreward`); level l is the score 25 (l - 1)

A progress question is answered by the score of its clip, a preference by the clip of higher score (of equals, by a coin
that is a function of the question). TOPReward's score is 100 P(True) / (P(True) + P(False)), and is kept unrounded;
log P(True) itself, which pairs are compared by, has no scale. Similarity has no answer here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from typing_extensions import Self

from rfm.batch.as_trained import Difference
from rfm.batch.clips import Row, clips_of
from rfm.errors import ConfigError, DataError
from rfm.evaluation.exam import Exam
from rfm.evaluation.judge import Sheet
from rfm.evaluation.metrics.accuracy import Numbers, mean
from rfm.evaluation.metrics.alignment import correlate
from rfm.evaluation.metrics.bootstrap import interval
from rfm.evaluation.metrics.levels import level_of
from rfm.evaluation.rivals.asking import Asker, Verdict, asker_of
from rfm.evaluation.rivals.gvl import FrameQuestion, clip_task, frame_question, percentages
from rfm.evaluation.rivals.roboreward import ROBOREWARD, TOKENS, Question, level_said
from rfm.inference.engines.engine import Engine
from rfm.inference.prediction import Prediction
from rfm.inference.rows import row_digest
from rfm.vqa.answers import write_answer
from rfm.vqa.schema import CLIP_PREFIXES

GVL, TOPREWARD = "gvl", "topreward"
STATEMENT = (
    "The video shows a robot. Statement: in the video, the robot completes the task: {task}. "
    "Is this statement True or False? Answer with one word, True or False."
)
_SEED = 0

_Score = tuple[float, float]
"""Of a clip: 0 to 100, and what clips are compared by."""
_Said = list[tuple[_Score | None, str] | DataError]
"""Of each clip: its score, None where what was said has none, and what was said; or why it could not be asked."""


class Prompted(Engine):
    """Answers rows by asking an engine in another way than the dataset does."""

    def __init__(self, inner: Engine, style: str, *, discrete: bool = False, question: Question | None = None) -> None:
        self.inner, self.style, self.discrete = inner, style, discrete
        self.question = question or Question()
        self.asker: Asker = asker_of(inner)
        self.datasets_root, self.trained, self.guard = inner.datasets_root, inner.trained, inner.guard

    def under(self, datasets_root: Path) -> Self:
        """Return the same way of asking, of an engine under another root."""
        moved = super().under(datasets_root)
        moved.inner = self.inner.under(datasets_root)
        moved.asker = asker_of(moved.inner)
        return moved

    def own_differences(self) -> list[Difference]:
        """Return that a checkpoint that was trained on a dataset's questions is asked others."""
        text = f"was trained on the dataset's own questions and is asked those of {self.style}"
        return [Difference("prompting", None, self.style, text, "leave --prompting out")]

    def identity(self) -> dict[str, Any]:
        """Return the engine's identity and the way of asking."""
        return {**self.inner.identity(), "discrete": self.discrete, **self.prompting()}

    def prompting(self) -> dict[str, Any]:
        """Return the way of asking, for saved answers and results."""
        words = self.question
        told = {"prompt_sha256": words.sha256, "prompt_is_published": words.published}
        return {"prompting": self.style, **(told if self.style == ROBOREWARD else {})}

    def answer(self, rows: Sequence[Row], max_new_tokens: int, *, blank_frames: bool = False) -> list[Prediction]:
        """Answer one batch of rows; `max_new_tokens` is the style's own."""
        kind = rows[0].get("sample_type")
        if kind == "similarity":
            raise ConfigError(f"`prompting` {self.style} must go with preference and progress rows, not similarity")
        asked = [_clip_rows(row) for row in rows]
        flat = [clip for clips in asked if not isinstance(clips, DataError) for clip in clips]
        ask = {GVL: self._gvl, TOPREWARD: self._topreward, ROBOREWARD: self._roboreward}[self.style]
        scores = iter(ask(flat, blank_frames) if flat else [])
        out = []
        for row, clips in zip(rows, asked, strict=True):
            if isinstance(clips, DataError):
                out.append(Prediction("", unreadable=str(clips)))
            else:
                out.append(self._prediction(row, [next(scores) for _ in clips]))
        return out

    def _gvl(self, rows: Sequence[Row], blank: bool) -> _Said:
        questions = [question_about(row) for row in rows]
        out: _Said = []
        for question, said in zip(questions, self.asker.complete(questions, blank=blank), strict=True):
            if isinstance(said, DataError):
                out.append(said)
                continue
            values = percentages(question, said)
            out.append((None if values is None else (float(values[-1]), float(values[-1])), said))
        return out

    def _roboreward(self, rows: Sequence[Row], blank: bool) -> _Said:
        stated = [{**row, "prompt": self.question.about(clip_task(row.get("task")))} for row in rows]
        return [
            (_of_level(level_said(one.text)), one.text) if one.unreadable is None else DataError(one.unreadable)
            for one in self.inner.answer(stated, TOKENS, blank_frames=blank)
        ]

    def _topreward(self, rows: Sequence[Row], blank: bool) -> _Said:
        stated = [{**row, "prompt": STATEMENT.replace("{task}", clip_task(row.get("task")))} for row in rows]
        found = self.asker.verdicts(stated, blank=blank)
        return [one if isinstance(one, DataError) else (_score(one), f"{one.log_true:.6f}") for one in found]

    def _prediction(self, row: Row, scores: Sequence[tuple[_Score | None, str] | DataError]) -> Prediction:
        for one in scores:
            if isinstance(one, DataError):
                return Prediction("", unreadable=str(one))
        found = [one for one in scores if not isinstance(one, DataError)]
        said = tuple(text for _, text in found)
        values = [value for value, _ in found if value is not None]
        if len(values) < len(found):
            return Prediction("", samples=said)  # `ANS: 50` in what was said is no answer to such a question
        if row["sample_type"] == "progress":
            return self._progress(values[0][0], said)
        first, second = (compared for _, compared in values)
        coin = int(row_digest(row, _SEED), 16) % 2 == 1
        return Prediction(write_answer("2" if second > first or (second == first and coin) else "1"), samples=said)

    def _progress(self, score: float, said: tuple[str, ...]) -> Prediction:
        if self.discrete:
            return Prediction(write_answer(str(int(level_of(np.array([score]))[0]))), samples=said)
        return Prediction(write_answer(str(int(score + 0.5))), samples=said, score=score)


def question_about(row: Row) -> FrameQuestion:
    """Return the GVL question about a progress row's clip; its frames are shuffled by what the row shows."""
    [clip] = clips_of(row)
    return frame_question(clip, clip_task(row.get("task")), np.random.default_rng(int(row_digest(row, _SEED), 16)))


def frame_alignment(exam: Exam, sheet: Sheet, said: Mapping[int, Prediction]) -> Numbers:
    """Return GVL's own figure: the correlation of the percentages with time over the frames of each clip, shuffled.

    Clips without a percentage for each frame count as 0, as undefined correlations do.
    """
    values = np.array([_of_frames(exam.dataset[int(row)], said[int(row)]) for row in sheet.rows]).reshape(-1, 2)
    known: Float64[np.ndarray, "n 2"] = np.nan_to_num(values)
    return {
        "clips": len(values),
        "pearson": mean(known[:, 0]),
        "pearson_interval": interval(known[:, 0], sheet.group),
        "spearman": mean(known[:, 1]),
        "spearman_interval": interval(known[:, 1], sheet.group),
        "undefined": int(np.isnan(values).any(axis=1).sum()),
    }


def _of_frames(row: Row, one: Prediction) -> tuple[float, float]:
    found = percentages(question_about(_clip_row(row, "")), one.samples[0]) if one.samples else None
    if found is None:
        return float("nan"), float("nan")
    return correlate(found, np.arange(len(found), dtype=np.float64))


def _score(verdict: Verdict) -> _Score:
    return 100.0 * verdict.share, verdict.log_true


def _of_level(level: int | None) -> _Score | None:
    return None if level is None else (25.0 * (level - 1), float(level))


def _clip_rows(row: Row) -> list[Row] | DataError:
    """Return a progress row for each clip of a row."""
    try:
        clips_of(row)
    except DataError as error:
        return error
    return [_clip_row(row, prefix) for prefix in CLIP_PREFIXES[row["sample_type"]]]


def _clip_row(row: Row, prefix: str) -> Row:
    names = ("npz_path", "frame_indices")
    return {
        "sample_type": "progress",
        "prompt": row.get("prompt"),
        "task": row.get("task"),
        **{name: row[f"{prefix}{name}"] for name in names},
    }
