"""Rules for progress questions: the answer is the progress at the end of the clip on the instruction that is asked.

Which instructions may be asked of a clip is `rules.instructions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64

from rfm.audit.reading.asking import ELSEWHERE, OWN, RECORDED
from rfm.audit.rules.contract import Evidence, Finding, Shown

_TOLERANCE = 1e-5  # in progress: recorded values are 32-bit floats, and rounding at .5 may go either way
_COLUMN_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Scores:
    """The clips of progress questions and what their frames are worth."""

    evidence: Evidence
    clip: Shown

    @cached_property
    def rows(self) -> Bool[np.ndarray, " n"]:
        return self.evidence.questions.is_score & self.clip.clip.present

    @cached_property
    def right(self) -> Bool[np.ndarray, " n"]:
        """Whether the instruction is that of the shown task."""
        return self.rows & self.clip.asked.holds(OWN)

    @cached_property
    def wrong(self) -> Bool[np.ndarray, " n"]:
        """Whether it is known to be another task's."""
        return self.rows & self.clip.asked.wrong

    @cached_property
    def timed(self) -> Bool[np.ndarray, " n"]:
        episodes = self.evidence.episodes
        return np.zeros(len(self.rows), bool) if episodes is None else episodes.timed(self.clip.trajectory)

    @cached_property
    def progress(self) -> Float64[np.ndarray, " n"]:
        """The progress at the end of the clip on the instruction."""
        episodes = self.evidence.episodes
        if episodes is None:
            return np.full(len(self.rows), np.nan)
        return episodes.progress_asked(self.clip.asked, self.clip.trajectory, self.clip.last, self.clip.lowest)

    @cached_property
    def answered(self) -> Float64[np.ndarray, " n"]:
        """The answer as progress in [0, 1]."""
        settings = self.evidence.settings
        low, high = settings.lowest_answer, settings.highest_answer
        return (self.evidence.questions.answer - low) / (high - low)

    @property
    def half_step(self) -> float:
        """Half the distance of two answers, in progress: how far an answer may be from the truth."""
        settings = self.evidence.settings
        return 1 / 8 if settings.discrete_progress else settings.progress_step / 200


def progress_findings(evidence: Evidence) -> list[Finding]:
    """Return what was found of every rule for progress questions."""
    if not evidence.questions.is_score.any():
        return []
    scores = _Scores(evidence, evidence.shown(""))
    return [*_form(scores), *_answers(scores), *_columns(scores)]


def _form(scores: _Scores) -> Iterator[Finding]:
    questions, settings = scores.evidence.questions, scores.evidence.settings
    low, high = settings.lowest_answer, settings.highest_answer
    yield Finding.of("a progress question has a clip", questions.is_score, ~scores.rows)
    outside = ~((questions.answer >= low) & (questions.answer <= high))
    yield Finding.of(f"a progress answer lies in {low} to {high}", questions.is_score, outside)


def _answers(scores: _Scores) -> Iterator[Finding]:
    truth, answer = scores.progress, scores.answered
    valid = ~np.isnan(answer)
    unknown = scores.right & ~scores.timed & np.isnan(truth)
    yield Finding.of("the end has a known progress", scores.rows, unknown, scores.right & ~scores.timed | scores.wrong)
    judged = scores.rows & valid & ~scores.wrong & ~unknown
    told_zero = (answer == 0) & (truth > scores.half_step + _TOLERANCE)
    evidence = scores.right & ~np.isnan(truth)
    yield Finding.of("a right instruction is not answered 0", judged, told_zero, evidence)
    off = np.abs(answer - truth) > scores.half_step + _TOLERANCE
    yield Finding.of("the answer is the progress at the end", judged, off & ~told_zero, evidence)
    open_ones = scores.rows & valid & ~scores.right & ~scores.wrong
    elsewhere, recorded = (valid & scores.wrong & scores.clip.asked.holds(one) for one in (ELSEWHERE, RECORDED))
    rule = "a wrong instruction of another scene is answered 0"
    yield Finding.of(rule, elsewhere | open_ones, off, elsewhere)
    yield Finding.of("a wrong instruction of the same scene is answered as recorded", recorded, off)
    doubtful = scores.evidence.conflicting(scores.clip.trajectory)
    yield Finding.of("label and partial success of a scored clip agree", scores.right, doubtful)


def _columns(scores: _Scores) -> Iterator[Finding]:
    """Columns beside the answer, where the dataset has them."""
    expected = scores.progress
    clear = ~np.isnan(expected)
    end = scores.clip.clip.end_progress
    if end is not None:
        off = np.abs(end - expected) > _COLUMN_TOLERANCE
        yield Finding.of("end_progress is the progress at the end", scores.rows & ~np.isnan(end), off, clear)
    targets = scores.evidence.questions.targets
    if targets is None:
        return
    has = scores.rows & (targets.lengths > 0)
    yield Finding.of("target_progress has a value a frame", has, targets.lengths != scores.clip.clip.frames.lengths)
    if scores.evidence.settings.progress_pred_type != "relative_first_frame":
        last = targets.at(-1, missing=np.nan)
        against = np.where(clear, expected, scores.answered)  # a dataset whose trajectories are not found: its answer
        off = np.abs(last - against) > _COLUMN_TOLERANCE + np.where(clear, 0, scores.half_step)
        yield Finding.of("the last target_progress is that too", has & ~np.isnan(last), off, ~np.isnan(against))
