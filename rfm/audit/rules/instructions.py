"""Rules for clips that another task's instruction is asked of: who asks must know the answer.

They hold for progress questions and for pairs of two tasks; what the answer then is, is judged with the other answers
(`rules.progress`, `rules.pairs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool

from rfm.audit.reading.asking import (
    CONTRADICTED,
    ELSEWHERE,
    OWN,
    RECORDED,
    SAME_FILE,
    SAME_SCENE,
    SAME_TEXT,
    SCORED,
)
from rfm.audit.rules.compared import Pairs
from rfm.audit.rules.contract import Evidence, Finding, Shown

ONE_TEXT = "a wrong instruction is not the clip's own in other words"
_ALWAYS = (
    (SAME_FILE, "a wrong instruction is of no other row about the clip's file"),
    (SCORED, "a wrong instruction has no score of its own in the preference group"),
)
_ANSWERED = (
    (SAME_SCENE, "the answer to a wrong instruction of the same scene is recorded"),
    (CONTRADICTED, "records of progress towards one instruction agree"),
)


@dataclass(frozen=True)
class _Wrong:
    """One clip of every row, and where it is asked for another task."""

    shown: Shown
    rows: Bool[np.ndarray, " n"]
    answered: Bool[np.ndarray, " n"]
    """Those rows whose answer depends on how far the clip has got on the instruction: all but similarity's."""


@dataclass(frozen=True)
class _Asked:
    """The clips that are asked for another task, and rows of which that is not known."""

    evidence: Evidence
    pairs: Pairs

    @cached_property
    def clips(self) -> tuple[_Wrong, ...]:
        """A clip of progress questions, and the two compared ones."""
        questions, one = self.evidence.questions, self.evidence.shown("")
        alone = questions.is_score & one.asked.wrong
        pairs = []
        for clip in (self.pairs.one, self.pairs.two):
            rows = self.pairs.across_tasks & clip.asked.wrong
            pairs.append(_Wrong(clip, rows, rows & self.pairs.two_tasks))
        return (_Wrong(one, alone, alone), *pairs)

    @cached_property
    def open(self) -> Bool[np.ndarray, " n"]:
        """Progress questions of which it is not known whose task they ask for."""
        one = self.evidence.shown("")
        return self.evidence.questions.is_score & one.clip.present & (one.asked.relation < OWN)

    def find(self, rule: str, relation: int, *, answered: bool) -> Finding:
        """Judge a rule that is broken by one relation."""
        rows = [clip.answered if answered else clip.rows for clip in self.clips]
        broken = [at & clip.shown.asked.holds(relation) for at, clip in zip(rows, self.clips, strict=True)]
        known = np.logical_or.reduce(rows)
        return Finding.of(rule, known | self.open, np.logical_or.reduce(broken), known)


def instruction_findings(evidence: Evidence) -> list[Finding]:
    """Return what was found of every rule for other tasks' instructions."""
    asked = _Asked(evidence, Pairs.of(evidence))
    return [
        _one_text(asked),
        *(asked.find(rule, relation, answered=False) for relation, rule in _ALWAYS),
        *(asked.find(rule, relation, answered=True) for relation, rule in _ANSWERED),
        _forwards(asked),
        *_same_pool(asked),
        *_kinds(asked),
    ]


def _one_text(asked: _Asked) -> Finding:
    """Pairs of two task ids that both have the text are no pairs of two tasks either."""
    found = asked.find(ONE_TEXT, SAME_TEXT, answered=False)
    both = asked.pairs.two_tasks & asked.pairs.one.asked.holds(OWN) & asked.pairs.two.asked.holds(OWN)
    return Finding(ONE_TEXT, found.checked + int(both.sum()), found.unchecked, found.broken | both)


def _forwards(asked: _Asked) -> Finding:
    known = np.logical_or.reduce([clip.answered for clip in asked.clips])
    back = np.logical_or.reduce([clip.answered & clip.shown.backwards for clip in asked.clips])
    return Finding.of("a wrong instruction is shown forwards", known | asked.open, back, known)


def _same_pool(asked: _Asked) -> Iterator[Finding]:
    """Clips that are only ever asked wrong instructions, and answered 0, are known by their looks."""
    episodes = asked.evidence.episodes
    if episodes is None:
        return
    clip = asked.clips[0]
    last = asked.evidence.of_trajectory(episodes.frames - 1, clip.shown.trajectory)
    at_end = episodes.progress(clip.shown.trajectory, np.nan_to_num(last, nan=-1).astype(np.int64))
    unknown = np.isnan(at_end) & ~episodes.timed(clip.shown.trajectory)
    yield Finding.of("a wrong instruction's clip can be asked its own", clip.rows, unknown)


def _kinds(asked: _Asked) -> Iterator[Finding]:
    evidence, pairs = asked.evidence, asked.pairs
    kind, episodes = evidence.questions.instruction_kind, evidence.episodes
    if kind is None or episodes is None:
        return
    alone = evidence.shown("")
    second = np.where(pairs.across_tasks, pairs.two.asked.wrong, evidence.questions.answer == 2)
    score = evidence.questions.is_score
    applies, fits = np.zeros(len(score), bool), np.ones(len(score), bool)
    for clip, rows in ((alone, score), (pairs.one, pairs.answered & ~second), (pairs.two, pairs.answered & second)):
        here = rows & clip.asked.holds(OWN, ELSEWHERE, RECORDED)
        applies |= here
        fits &= ~here | episodes.asking.kind_fits(kind, clip.asked, evidence.instruction, clip.trajectory)
    yield Finding.of("instruction_kind says whose task is asked", applies, ~fits, kind.code >= 0)
