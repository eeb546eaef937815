"""Rules that every row must keep, and what was found of each.

A rule speaks about some rows, can be checked on those of them for which there is evidence, and is broken by some. Rows
that can't be checked are counted, never taken for good ones.

Shape legend: n rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.audit.reading.asking import UNKNOWN, Asked
from rfm.audit.reading.episodes import Episodes
from rfm.audit.reading.questions import Clip, Questions
from rfm.errors import DataError

EXAMPLES = 5
DEFAULT_THRESHOLD = 0.2
"""`data.partial_success_threshold` where the dataset does not say it: how far a label and a score may be apart."""


@dataclass(frozen=True)
class Settings:
    """What a dataset's generation configuration says about its labels; defaults where it says nothing."""

    min_progress_gap: float = 0.0
    partial_success_threshold: float = 0.0
    progress_step: int = 1
    discrete_progress: bool = False
    progress_pred_type: str = "absolute_wrt_total_frames"

    def __post_init__(self) -> None:
        for each in fields(self):
            value, kind = getattr(self, each.name), type(each.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise DataError(
                    f"`data.{each.name}` of generation_config.json must be of type {kind.__name__}, but is {value!r}; "
                    "generate the dataset again"
                )

    @property
    def lowest_answer(self) -> int:
        """The answer that means no progress."""
        return 1 if self.discrete_progress else 0

    @property
    def highest_answer(self) -> int:
        """The answer that means done."""
        return 5 if self.discrete_progress else 100


@dataclass(frozen=True)
class Shown:
    """What a clip shows, row by row; -1 where there is none."""

    clip: Clip
    trajectory: Int64[np.ndarray, " n"]
    """In the catalog; UNKNOWN where it is not found."""
    asked: Asked

    @cached_property
    def first(self) -> Int64[np.ndarray, " n"]:
        """The first shown frame."""
        return self.clip.frames.at(0)

    @cached_property
    def last(self) -> Int64[np.ndarray, " n"]:
        """The last shown frame."""
        return self.clip.frames.at(-1)

    @cached_property
    def lowest(self) -> Int64[np.ndarray, " n"]:
        """The lowest shown frame."""
        return self.clip.frames.lowest()

    @cached_property
    def backwards(self) -> Bool[np.ndarray, " n"]:
        """Whether it runs backwards somewhere."""
        frames = self.clip.frames
        falling = np.diff(frames.values, prepend=0) < 0
        return frames.any(falling & (frames.place > 0))

    @property
    def known(self) -> Bool[np.ndarray, " n"]:
        """Whether there is a clip and its trajectory is found."""
        return self.clip.present & (self.trajectory != UNKNOWN)


@dataclass(frozen=True)
class Evidence:
    """Everything that rules look at."""

    questions: Questions
    settings: Settings
    episodes: Episodes | None
    """None: no trajectories were found, so labels can't be compared with them."""

    def shown(self, prefix: str) -> Shown:
        """Return what the clip of this prefix shows, and what the row's instruction is to it."""
        return self._shown[prefix]

    @cached_property
    def _shown(self) -> dict[str, Shown]:
        return {prefix: self._look(clip) for prefix, clip in self.questions.clips.items()}

    def _look(self, clip: Clip) -> Shown:
        nothing = np.full(len(self.questions), UNKNOWN)
        if self.episodes is None:
            return Shown(clip, nothing, Asked(nothing, nothing))
        trajectory = self.episodes.match(self.questions, clip)
        return Shown(clip, trajectory, self.episodes.asking.asked(self.instruction, trajectory))

    @cached_property
    def instruction(self) -> Int64[np.ndarray, " n"]:
        """The meaning of the row's instruction among the catalog's; UNKNOWN where none has it."""
        if self.episodes is None:
            return np.full(len(self.questions), UNKNOWN)
        return self.episodes.asking.instruction(self.questions.task)

    def conflicting(self, trajectory: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Return which trajectories' label and partial success contradict each other."""
        if self.episodes is None:
            return np.zeros(len(self.questions), bool)
        threshold = self.settings.partial_success_threshold or DEFAULT_THRESHOLD
        return np.append(self.episodes.conflicting(threshold), False)[trajectory]

    def of_trajectory(self, values: np.ndarray, trajectory: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Return one of the catalog's columns, `values`, row by row; NaN where the trajectory is UNKNOWN."""
        return np.append(values.astype(np.float64), np.nan)[trajectory]


@dataclass(frozen=True)
class Finding:
    """What was found of one rule."""

    rule: str
    checked: int
    """Rows it was checked on."""
    unchecked: int
    """Rows it speaks about, but which lack what it needs."""
    broken: Bool[np.ndarray, " n"]

    @staticmethod
    def of(rule: str, applies: np.ndarray, broken: np.ndarray, evidence: np.ndarray | None = None) -> Finding:
        """Judge `rule` on the rows where it `applies` and there is `evidence` (everywhere, if None)."""
        checked = applies if evidence is None else applies & evidence
        return Finding(rule, int(checked.sum()), int(applies.sum() - checked.sum()), checked & broken)

    @property
    def count(self) -> int:
        """Rows that break the rule."""
        return int(self.broken.sum())

    def examples(self, questions: Questions) -> list[int]:
        """Return the numbers of the first rows that break it."""
        return questions.row[np.flatnonzero(self.broken)[:EXAMPLES]].tolist()
