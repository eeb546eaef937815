"""Rules for questions about two clips (preference, similarity).

Which rule decides a pair follows from its clips, not from the name of its strategy: two clips of one episode, two
episodes of one task, or two tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.audit.rules.contract import Evidence, Finding, Shown

_TOLERANCE = 1e-4


@dataclass(frozen=True)
class _Pairs:
    """The compared clips, by place and by answer."""

    evidence: Evidence
    one: Shown
    two: Shown

    @cached_property
    def rows(self) -> Bool[np.ndarray, " n"]:
        return self.evidence.questions.is_pair & self.one.clip.present & self.two.clip.present

    @cached_property
    def answered(self) -> Bool[np.ndarray, " n"]:
        return self.rows & np.isin(self.evidence.questions.answer, (1, 2))

    @cached_property
    def known(self) -> Bool[np.ndarray, " n"]:
        return self.one.known & self.two.known

    @cached_property
    def same_episode(self) -> Bool[np.ndarray, " n"]:
        return self.answered & (self.one.clip.path == self.two.clip.path) & (self.one.trajectory == self.two.trajectory)

    @cached_property
    def same_task(self) -> Bool[np.ndarray, " n"]:
        task = self.column("task_code")
        return self.answered & self.known & (task[0] == task[1])

    def by_answer(self, one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (chosen, rejected) of values by place."""
        first = self.evidence.questions.answer == 1
        return np.where(first, one, two), np.where(first, two, one)

    @cached_property
    def trajectories(self) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """(chosen, rejected)."""
        return self.by_answer(self.one.trajectory, self.two.trajectory)

    @cached_property
    def progress(self) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """Progress at the ends of (chosen, rejected)."""
        if self.evidence.episodes is None:
            return (np.full(len(self.rows), np.nan),) * 2
        ends = (self.evidence.episodes.progress(clip.trajectory, clip.last) for clip in (self.one, self.two))
        return self.by_answer(*ends)

    @cached_property
    def early(self) -> Bool[np.ndarray, " n"]:
        """Pairs of which a clip stops before its episode does, where lengths are known."""
        lengths = [self.evidence.of_trajectory(_frames(self), clip.trajectory) for clip in (self.one, self.two)]
        return (self.one.last < lengths[0] - 1) | (self.two.last < lengths[1] - 1)

    @cached_property
    def timed(self) -> Bool[np.ndarray, " n"]:
        """Pairs of which a clip has its progress from time, with a cut-off that is not known."""
        episodes = self.evidence.episodes
        if episodes is None:
            return np.zeros(len(self.rows), bool)
        return episodes.timed(self.one.trajectory) | episodes.timed(self.two.trajectory)

    def column(self, name: str) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """Return a column of the catalog for (chosen, rejected); "outcome" too."""
        episodes = self.evidence.episodes
        if episodes is None:
            return (np.full(len(self.rows), np.nan),) * 2
        values = episodes.outcome if name == "outcome" else getattr(episodes.catalog, name)
        chosen, rejected = (self.evidence.of_trajectory(values, one) for one in self.trajectories)
        return chosen, rejected


def pair_findings(evidence: Evidence) -> list[Finding]:
    """Return what was found of every rule for pairs."""
    pairs = _Pairs(evidence, evidence.shown("first_"), evidence.shown("second_"))
    if not evidence.questions.is_pair.any():
        return []
    return [
        *_form(pairs),
        *_by_ends(pairs),
        *_by_quality(pairs),
        *_instruction(pairs),
        *_reference(pairs),
    ]


def _form(pairs: _Pairs) -> Iterator[Finding]:
    questions, one, two = pairs.evidence.questions, pairs.one.clip, pairs.two.clip
    yield Finding.of("a pair has two clips", questions.is_pair, ~pairs.rows)
    yield Finding.of("a pair's answer is 1 or 2", questions.is_pair, ~np.isin(questions.answer, (1, 2)))
    if questions.chosen_is_first is not None:
        differs = (questions.chosen_is_first == 1) != (questions.answer == 1)
        preference = questions.of_type("preference") & np.isin(questions.answer, (1, 2))
        yield Finding.of("chosen_is_first is the answer", preference, differs, questions.chosen_is_first >= 0)
    yield Finding.of("equally many shown frames", pairs.rows, one.frames.lengths != two.frames.lengths)
    yield Finding.of("equally many distinct frames", pairs.rows, one.distinct != two.distinct)


def _by_ends(pairs: _Pairs) -> Iterator[Finding]:
    """Two clips of one episode, or of two episodes before their ends: decided by the progress at the clips' ends."""
    alone = pairs.same_episode
    chosen, rejected = pairs.progress
    ahead = chosen - rejected
    evidence = pairs.known & ~pairs.timed
    known = evidence & ~np.isnan(ahead)
    yield Finding.of("clips of one episode start together", alone, pairs.one.first != pairs.two.first)
    yield Finding.of("ends have a known progress", alone, np.isnan(ahead), evidence)
    applies = (alone & ~(evidence & np.isnan(ahead))) | (pairs.same_task & pairs.early & known)
    yield Finding.of("the chosen end has more progress", applies, ahead <= 0, known)
    gap = pairs.evidence.settings.min_progress_gap
    if gap > 0:
        near = np.abs(ahead) < gap - _TOLERANCE
        yield Finding.of("ends differ by data.min_progress_gap", applies, near, known)


def _by_quality(pairs: _Pairs) -> Iterator[Finding]:
    """Two episodes of one task: decided by quality or partial success, and shown to their ends.

    Or to ends of known progress, which then decides.
    """
    chosen, rejected = pairs.progress
    ahead, gap = chosen - rejected, max(pairs.evidence.settings.min_progress_gap, 2 * _TOLERANCE)
    applies = pairs.answered & ~pairs.same_episode & (pairs.same_task | ~pairs.known)
    by_ends = pairs.known & np.where(pairs.early, pairs.timed | ~np.isnan(ahead), ahead >= gap - _TOLERANCE)
    quality, outcome = pairs.column("quality"), pairs.column("outcome")
    rated = (quality[0] >= 0) & (quality[1] >= 0)
    measured = ~np.isnan(outcome[0] - outcome[1])
    threshold = pairs.evidence.settings.partial_success_threshold
    by_quality = rated & (quality[0] > quality[1])
    by_outcome = measured & (outcome[0] - outcome[1] > max(threshold - _TOLERANCE, 0))
    evidence = pairs.known & (rated | measured)
    unrated = ~(rated | measured)
    yield Finding.of("episodes compared have a known quality", applies & ~by_ends, unrated, pairs.known)
    judged = applies & ~by_ends & ~(pairs.known & ~evidence)
    yield Finding.of("the chosen episode is of better quality", judged, ~(by_quality | by_outcome), evidence)
    yield Finding.of("compared episodes are shown to their ends", applies & ~by_ends, pairs.early, pairs.known)


def _instruction(pairs: _Pairs) -> Iterator[Finding]:
    evidence = pairs.evidence
    told = evidence.told_of(pairs.trajectories[0])
    known = pairs.known & (evidence.wording >= 0)
    yield Finding.of("the instruction is the chosen clip's", pairs.answered, ~told, known)
    two_tasks = pairs.answered & ~pairs.same_episode & ~pairs.same_task
    scored = evidence.told_in_group_of(pairs.trajectories[1])
    rule = "the other task's clip has no score for the instruction in its preference group"
    yield Finding.of(rule, two_tasks, scored, known)


def _reference(pairs: _Pairs) -> Iterator[Finding]:
    similarity = pairs.answered & pairs.evidence.questions.of_type("similarity")
    if not similarity.any():
        return
    reference = pairs.evidence.shown("reference_")
    path = reference.clip.path
    yield Finding.of("a similarity question has a reference", similarity, ~reference.clip.present)
    compared = (path == pairs.one.clip.path) | (path == pairs.two.clip.path)
    yield Finding.of("the reference is another episode", similarity & reference.clip.present, compared)
    if pairs.evidence.episodes is not None:
        task = pairs.evidence.episodes.catalog.task_code
        own, chosen = (pairs.evidence.of_trajectory(task, at) for at in (reference.trajectory, pairs.trajectories[0]))
        yield Finding.of("the nearer clip has the reference's task", similarity, own != chosen, reference.known)


def _frames(pairs: _Pairs) -> np.ndarray:
    episodes = pairs.evidence.episodes
    return np.empty(0) if episodes is None else episodes.frames
