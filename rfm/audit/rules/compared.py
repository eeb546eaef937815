"""The two clips that a row compares, by place and by answer, and what their ends are worth.

Shape legend: n rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.audit.reading.asking import ELSEWHERE, OWN, RECORDED
from rfm.audit.rules.contract import Evidence, Shown


@dataclass(frozen=True)
class Pairs:
    """The compared clips of every row; a row without them is in none of the masks."""

    evidence: Evidence
    one: Shown
    two: Shown

    @cached_property
    def rows(self) -> Bool[np.ndarray, " n"]:
        """Rows with both clips."""
        return self.evidence.questions.is_pair & self.one.clip.present & self.two.clip.present

    @cached_property
    def answered(self) -> Bool[np.ndarray, " n"]:
        """Those whose answer is one of the two."""
        return self.rows & np.isin(self.evidence.questions.answer, (1, 2))

    @cached_property
    def known(self) -> Bool[np.ndarray, " n"]:
        """Rows both of whose trajectories are found."""
        return self.one.known & self.two.known

    @cached_property
    def same_episode(self) -> Bool[np.ndarray, " n"]:
        """Two clips of one episode."""
        return self.answered & (self.one.clip.path == self.two.clip.path) & (self.one.trajectory == self.two.trajectory)

    @cached_property
    def same_task(self) -> Bool[np.ndarray, " n"]:
        """Clips of one task, of one episode or two."""
        task = self.column("task_code")
        return self.answered & self.known & (task[0] == task[1])

    @staticmethod
    def of(evidence: Evidence) -> Pairs:
        """Return the two compared clips of every row."""
        return Pairs(evidence, evidence.shown("first_"), evidence.shown("second_"))

    def by_answer(self, one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (chosen, rejected) of values by place."""
        first = self.evidence.questions.answer == 1
        return np.where(first, one, two), np.where(first, two, one)

    @cached_property
    def trajectories(self) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """(chosen, rejected)."""
        return self.by_answer(self.one.trajectory, self.two.trajectory)

    @cached_property
    def across_tasks(self) -> Bool[np.ndarray, " n"]:
        """Clips of two tasks."""
        return self.answered & self.known & ~self.same_task

    @cached_property
    def two_tasks(self) -> Bool[np.ndarray, " n"]:
        """Those whose answer follows how far each got on the instruction: all but similarity's."""
        return self.across_tasks & self.evidence.questions.of_type("preference")

    @cached_property
    def answerable(self) -> Bool[np.ndarray, " n"]:
        """Pairs of whose clips it can be known how far they got on the instruction."""
        return self.one.asked.holds(OWN, ELSEWHERE, RECORDED) & self.two.asked.holds(OWN, ELSEWHERE, RECORDED)

    @cached_property
    def progress(self) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """Progress at the ends of (chosen, rejected), of two tasks on the instruction, else each on its own."""
        return self.by_answer(self._end(self.one), self._end(self.two))

    def _end(self, clip: Shown) -> Float64[np.ndarray, " n"]:
        episodes = self.evidence.episodes
        if episodes is None:
            return np.full(len(self.rows), np.nan)
        asked = episodes.progress_asked(clip.asked, clip.trajectory, clip.last)
        return np.where(self.two_tasks, asked, episodes.progress(clip.trajectory, clip.last))

    @cached_property
    def early(self) -> Bool[np.ndarray, " n"]:
        """Pairs of which a clip stops before its episode does, where lengths are known."""
        episodes = self.evidence.episodes
        frames = np.empty(0) if episodes is None else episodes.frames
        lengths = [self.evidence.of_trajectory(frames, clip.trajectory) for clip in (self.one, self.two)]
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
