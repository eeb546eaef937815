"""What strategies draw from, and what they return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int32, Int64

from rfm.sampling.clips.extremes import Extremes
from rfm.sampling.clips.table import Clips
from rfm.sampling.instructions import OWN, OWN_TASK, Instructions
from rfm.sampling.pools import Layout, Lot, Order
from rfm.sampling.progress import Progress
from rfm.sampling.random import RowRandom
from rfm.sampling.source_shares import shared_weights, source_shares
from rfm.sampling.usable import Usable
from rfm.trajectories.catalog import Catalog


class Unsupported(Exception):
    """The data cannot serve a strategy; the text says what it needs and what there is."""


@dataclass(frozen=True)
class Asked:
    """How the instruction of each row relates to a clip."""

    relation: Int64[np.ndarray, " m"]
    """`instructions.OWN`, ELSEWHERE or an entry of `Catalog.towards`; never UNKNOWN."""
    kind: Int8[np.ndarray, " m"]
    """A code of `INSTRUCTION_KINDS`."""

    @staticmethod
    def own(rows: int) -> Asked:
        """Return that of clips that are asked their own task."""
        return Asked(np.full(rows, OWN), np.full(rows, OWN_TASK, np.int8))

    def take(self, rows: np.ndarray) -> Asked:
        """Return some of the rows."""
        return Asked(self.relation[rows], self.kind[rows])

    @staticmethod
    def where(first: np.ndarray, a: Asked, b: Asked) -> Asked:
        """Return row by row `a` where `first` is true, else `b`."""
        return Asked(np.where(first, a.relation, b.relation), np.where(first, a.kind, b.kind))


def _joined(parts: Sequence[Asked], order: np.ndarray) -> Asked:
    relation, kind = (np.concatenate(column) for column in zip(*((p.relation, p.kind) for p in parts), strict=True))
    return Asked(relation[order], kind[order])


@dataclass(frozen=True)
class PairDraw:
    """Questions about two clips, by the answer: `better` is the chosen one (or the one nearer to `reference`)."""

    text: Int32[np.ndarray, " m"]
    better: Clips
    worse: Clips
    reference: Clips | None = None
    asked: tuple[Asked, Asked] | None = None
    """Of `better` and `worse`; None: both are asked their own task."""

    @staticmethod
    def ordered(
        text: Int32[np.ndarray, " m"],
        clips: tuple[Clips, Clips],
        first_is_better: Bool[np.ndarray, " m"],
        asked: tuple[Asked, Asked],
    ) -> PairDraw:
        """Return pairs of which the first clip is the better one where `first_is_better`."""
        better, worse = Clips.where(first_is_better, *clips), Clips.where(~first_is_better, *clips)
        of_better, of_worse = Asked.where(first_is_better, *asked), Asked.where(~first_is_better, *asked)
        return PairDraw(text, better, worse, asked=(of_better, of_worse))

    @staticmethod
    def merged(rows: Sequence[Int64[np.ndarray, " k"]], parts: Sequence[PairDraw]) -> PairDraw:
        """Return one draw of parts that hold these rows of it, all with `asked` and none with a reference."""
        order = np.argsort(np.concatenate(rows), kind="stable")
        asked = [part.asked for part in parts if part.asked is not None]
        return PairDraw(
            np.concatenate([part.text for part in parts])[order],
            Clips.joined([part.better for part in parts], order),
            Clips.joined([part.worse for part in parts], order),
            asked=(_joined([one for one, _ in asked], order), _joined([other for _, other in asked], order)),
        )


@dataclass(frozen=True)
class ScoreDraw:
    """Questions for the progress of one clip."""

    text: Int32[np.ndarray, " m"]
    clip: Clips
    asked: Asked | None = None
    """None: all are asked their own task."""


PairStrategy = Callable[[RowRandom], PairDraw]
ScoreStrategy = Callable[[RowRandom], ScoreDraw]


@dataclass(frozen=True)
class Material:
    """A catalog with the settings that all strategies share."""

    usable: Usable
    progress: Progress
    max_frames: int
    gap: float
    threshold: float
    same_source_prob: float
    same_scene_share: float = 0.5
    """Of questions with another task's instruction, those about one of the clip's own scene, where there are both."""
    whole_episodes: bool = False
    """Clips run from the first frame to the last, as evaluation sets show them."""
    trajectory_first: bool = False
    """Every trajectory that can serve a strategy serves it equally often, instead of at random and by weight."""
    source_weights: Any = "proportional"
    """How often sources are drawn from (`rfm.configs.source_weights`); not with `trajectory_first`."""
    original_mixture: bool = False
    """Pairs of one episode as the original recipe has them: forward against rewound, and forward against reversed."""
    progress_shares: Mapping[str, float] = field(default_factory=dict)
    """The shares of the progress strategies that are asked for, by name."""
    extremes: Extremes | None = None
    """How often the clips of progress questions end at 0 and at 100; None: as often as at any other progress."""
    source_boost: int = 1
    """How many times as often trajectories of sources that suit a similarity strategy serve it."""
    boost: Int64[np.ndarray, " s"] | None = None
    """How many times as often each source is drawn from for what a question is about; None: all alike."""
    notes: list[str] = field(default_factory=list)
    """What of the data the strategies do not use, and why; they add to it when they are made."""
    served: Bool[np.ndarray, " n"] | None = None
    """The trajectories that questions are about; all where None."""

    @property
    def catalog(self) -> Catalog:
        """The trajectories to draw from."""
        return self.usable.catalog

    @cached_property
    def frames(self) -> Int64[np.ndarray, " n"]:
        """Frames of each trajectory."""
        return self.catalog.num_frames.astype(np.int64)

    @cached_property
    def several(self) -> Bool[np.ndarray, " n"]:
        """Trajectories that can be asked about: of at least two frames, since fewer make no clip."""
        enough = self.frames >= 2
        return enough if self.served is None else enough & self.served

    def restricted(self, served: Bool[np.ndarray, " n"]) -> Material:
        """Return the same material with questions about the trajectories `served` only."""
        return replace(self, served=served)

    def boosted(self, trajectories: Bool[np.ndarray, " n"]) -> Material:
        """Return the same material with sources that hold any of `trajectories` drawn `source_boost` times as often."""
        suits = np.bincount(self.catalog.source_code[trajectories], minlength=len(self.catalog.sources)) > 0
        if self.source_boost == 1 or suits.all() or not suits.any():
            return self
        return replace(self, boost=np.where(suits, self.source_boost, 1).astype(np.int64))

    @cached_property
    def progress_range(self) -> Float64[np.ndarray, " n"]:
        """How far apart the least and the most progress of each trajectory are; 0 where unknown."""
        return self.progress.measured(lambda rows: _span(self.progress.curves(rows).progress)).astype(np.float64)

    @cached_property
    def weights(self) -> Int64[np.ndarray, " n"] | None:
        """Weights 0.1 + range of progress, in thousandths: answers spread over the scale instead of heaping at 0."""
        if self.trajectory_first:
            return None
        return np.rint(100 + 1000 * self.progress_range).astype(np.int64)

    @property
    def instructions(self) -> Instructions:
        """What is known of asking other tasks' instructions."""
        return self.usable.instructions

    def pool(self, members: Bool[np.ndarray, " n"], weights: Int64[np.ndarray, " n"] | None = None) -> Order:
        """Return `members` with at least two frames, set against those of another scene and the same source."""
        members = members & self.several
        return Order(self._elsewhere, members, self._shared(members, weights))

    def alike(self, members: Bool[np.ndarray, " n"]) -> Order:
        """Return `members` with at least two frames, set against those of another scene, source and size alike."""
        return Order(self._elsewhere_alike, members & self.several)

    def other_tasks(self, members: Bool[np.ndarray, " n"]) -> Order:
        """Return `members` with at least two frames, set against those of another task, source and size alike."""
        return Order(self._tasks_alike, members & self.several)

    def lot(self, members: Bool[np.ndarray, " n"]) -> Lot:
        """Return what draws the `members` that questions are about; all of a source alike."""
        return Lot(np.flatnonzero(members), self._shared(members, None))

    def odds(self, members: Bool[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Return how often progress questions are about each of `members`, as parts of 1; all 0 where there is none."""
        members = members & self.several
        weights = self._shared(members, self.weights)
        held = np.where(members, 1 if weights is None else weights, 0).astype(np.float64)
        return held / max(held.sum(), 1)

    def _shared(
        self, members: Bool[np.ndarray, " n"], weights: Int64[np.ndarray, " n"] | None
    ) -> Int64[np.ndarray, " n"] | None:
        """Return `weights` (1 each where None) so that sources are drawn as `source_weights` says, and by `boost`."""
        source = self.catalog.source_code
        if self.trajectory_first:
            return weights if self.boost is None else self.boost[source] * (1 if weights is None else weights)
        sizes = np.bincount(source[members], minlength=len(self.catalog.sources))
        shares = source_shares(self.source_weights, self.catalog.sources.to_pylist(), sizes)
        if (sizes > 0).sum() <= 1:
            return weights
        return shared_weights(shares * (1 if self.boost is None else self.boost), source, members, weights)

    @cached_property
    def look(self) -> Int64[np.ndarray, " n"]:
        """Code of source and frame size: clips of one pair differ in neither."""
        size = self.catalog.size_code.astype(np.int64)
        sized = self.catalog.source_code * (size.max(initial=0) + 1) + size
        return np.unique(sized, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def _elsewhere(self) -> Layout:
        return self._layout(self.catalog.source_code)

    @cached_property
    def _elsewhere_alike(self) -> Layout:
        return self._layout(self.look)

    def _layout(self, area: np.ndarray) -> Layout:
        known = self.instructions
        family = self.catalog.family_code
        return Layout.build(area, known.place, family, known.places_held, known.barred_elsewhere)

    @cached_property
    def _tasks_alike(self) -> Layout:
        family, known = self.catalog.family_code, self.instructions
        own = np.unique(family).astype(np.int64)
        return Layout.build(self.look, family, family, (own, own), known.barred)

    def share(self, members: Bool[np.ndarray, " n"]) -> str:
        """Return e.g. "3 of 40 trajectories", for messages."""
        return f"{int(members.sum())} of {len(self.catalog)} trajectories"


def _span(values: Float64[np.ndarray, "m G"]) -> Float64[np.ndarray, " m"]:
    low = np.where(np.isnan(values), np.inf, values).min(axis=1, initial=np.inf)
    high = np.where(np.isnan(values), -np.inf, values).max(axis=1, initial=-np.inf)
    return np.where(high >= low, high - low, 0.0)
