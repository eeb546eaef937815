"""Blocks: questions as columns, from the clips that were drawn to answers and progress labels.

Whatever draws questions (`Sampler`, `EvalSet`) fills a canvas and hands it on as a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int16, Int32, Int64

from rfm.configs.experiment_configs import DataConfig
from rfm.sampling.clips.table import Clips
from rfm.sampling.instructions import OWN_TASK
from rfm.sampling.material import PairDraw, ScoreDraw
from rfm.sampling.progress import Progress
from rfm.sampling.quotas import Quotas
from rfm.trajectories.catalog import Catalog

FIRST, SECOND, REFERENCE = 0, 1, 2


@dataclass(frozen=True)
class Slot:
    """One clip of every row; `trajectory` is -1 where a row has none in this slot."""

    trajectory: Int64[np.ndarray, " m"]
    indices: Int32[np.ndarray, "m K"]
    count: Int64[np.ndarray, " m"]
    end_progress: Float32[np.ndarray, " m"]
    """Towards the task that is asked."""


@dataclass(frozen=True)
class Block:
    """m questions as columns. A progress question's clip is the first slot; `answer` is 1, 2 or the score."""

    strategy: Int64[np.ndarray, " m"]
    """Index into `quotas.strategies` of what drew the block."""
    text: Int32[np.ndarray, " m"]
    """Instruction, a code of `Catalog.texts`."""
    answer: Int16[np.ndarray, " m"]
    slots: tuple[Slot, Slot, Slot]
    target: Float32[np.ndarray, "m K"]
    """Progress of each shown frame of a progress question; NaN unknown."""
    instruction: Int8[np.ndarray, " m"]
    """A code of `INSTRUCTION_KINDS`: whose task is asked; of a pair, for the clip of which it is another one."""


class Drawer(Protocol):
    """What questions are drawn from: `quotas.total` rows about the trajectories of `catalog`."""

    @property
    def catalog(self) -> Catalog:
        """The trajectories that blocks refer to by number."""

    @property
    def quotas(self) -> Quotas:
        """The strategies and the number of rows of each."""

    def draw(self, start: int, stop: int) -> Block:
        """Return the questions of rows `start` to `stop` - 1."""


class Canvas:
    """The arrays of a block while its strategies fill in their rows."""

    def __init__(self, rows: int, width: int):
        self._text = np.zeros(rows, np.int32)
        self._answer = np.zeros(rows, np.int16)
        self._target = np.full((rows, width), np.nan, np.float32)
        self._instruction = np.full(rows, OWN_TASK, np.int8)
        self._slots = tuple(
            Slot(
                np.full(rows, -1, np.int64),
                np.full((rows, width), -1, np.int32),
                np.zeros(rows, np.int64),
                np.full(rows, np.nan, np.float32),
            )
            for _ in range(3)
        )

    def add_pairs(
        self, rows: np.ndarray, drawn: PairDraw, better_first: Bool[np.ndarray, " k"], progress: Progress
    ) -> None:
        """Fill in questions about two clips; the better one is shown first where `better_first`."""
        self._text[rows] = drawn.text
        self._answer[rows] = np.where(better_first, 1, 2)
        of_better, of_worse = drawn.asked or (None, None)
        better = progress.at_ends(drawn.better, of_better.relation if of_better else None)
        worse = progress.at_ends(drawn.worse, of_worse.relation if of_worse else None)
        if of_better is not None and of_worse is not None:
            self._instruction[rows] = np.maximum(of_better.kind, of_worse.kind)
        first, second = np.where(better_first, better, worse), np.where(better_first, worse, better)
        self._put(FIRST, rows, Clips.where(better_first, drawn.better, drawn.worse), first)
        self._put(SECOND, rows, Clips.where(better_first, drawn.worse, drawn.better), second)
        if drawn.reference is not None:
            self._put(REFERENCE, rows, drawn.reference, progress.at_ends(drawn.reference))

    def add_scores(self, rows: np.ndarray, drawn: ScoreDraw, progress: Progress, settings: DataConfig) -> None:
        """Fill in questions about one clip, with the answer in the form that the settings ask for."""
        shown = progress.of_clips(drawn.clip, drawn.asked.relation if drawn.asked else None, from_first=True)
        if drawn.asked is not None:
            self._instruction[rows] = drawn.asked.kind
        self._put(FIRST, rows, drawn.clip, shown[np.arange(len(rows)), drawn.clip.count - 1])
        self._text[rows] = drawn.text
        self._target[rows] = progress.targets(shown)
        end = self._slots[FIRST].end_progress[rows]
        self._answer[rows] = level(end) if settings.discrete_progress else score(end, settings.progress_step)

    def _put(self, slot: int, rows: np.ndarray, clips: Clips, end_progress: Float32[np.ndarray, " k"]) -> None:
        into = self._slots[slot]
        into.trajectory[rows], into.indices[rows], into.count[rows] = clips.trajectory, clips.indices, clips.count
        into.end_progress[rows] = end_progress

    def finish(self, strategy: np.ndarray) -> Block:
        """Return the block; `strategy` is each row's index into the strategies drawn from."""
        first, second, reference = self._slots
        slots = (first, second, reference)
        return Block(strategy, self._text, self._answer, slots, self._target, self._instruction)


def score(progress: Float32[np.ndarray, " m"], step: int = 1) -> Int16[np.ndarray, " m"]:
    """Return floor(100 p + 0.5) of progress p in [0, 1]; with a step, the nearest multiple of it in the same way."""
    exact = np.round(100 * progress.astype(np.float64), 4)
    return (step * np.floor(exact / step + 0.5)).astype(np.int16)


def level(progress: Float32[np.ndarray, " m"]) -> Int16[np.ndarray, " m"]:
    """Return 1 + floor(4 p + 0.5) of progress p in [0, 1]."""
    return (np.floor(np.round(4 * progress.astype(np.float64), 6) + 0.5) + 1).astype(np.int16)
