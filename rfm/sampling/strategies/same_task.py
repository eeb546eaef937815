"""Preference strategies about one task that matching frames does not answer, for training.

    same_task_progress  two episodes of one task at different progress; the one that has got further is chosen
    stopped_early       a whole success, and the beginning of it or of another success

Both show forward clips with equally many frames, all distinct, of episodes of one source and frame size. Of rows about
the same frames file one stands for all. Who has which partner is known beforehand (`pairs.partners`). Where label or
partial success denies what progress says of two whole episodes, the rejected clip stops before its last frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from rfm.sampling.clips.counts import FEWEST, fitting, most_shown
from rfm.sampling.clips.ends import draw_end
from rfm.sampling.clips.table import INTERLEAVED, Clips, evenly, interleaved
from rfm.sampling.evidence import opposed
from rfm.sampling.material import Material, PairDraw, PairStrategy, Unsupported
from rfm.sampling.pairs.partners import PartnersBelow
from rfm.sampling.pairs.videos import one_a_video
from rfm.sampling.progress import SUCCESSFUL
from rfm.sampling.random import RowRandom
from rfm.sampling.rungs import Rungs

_SLACK = 1e-6
"""What partners may miss their limit by, as groups and values are compared in one number."""


def same_task_progress(material: Material) -> PairStrategy:
    """Two episodes at ends that differ by the gap; every other pair from their first frames, as in use."""
    stages = _Stages(material)
    members = stages.members
    behind = PartnersBelow(stages.group, members, stages.least, stages.most - stages.gap)
    ahead = PartnersBelow(stages.group, members, -stages.most, -(stages.least + stages.gap))
    supported = material.lot(members & (behind.count + ahead.count > 0))
    if not len(supported):
        raise Unsupported(
            "needs two episodes of one task, source and frame size, of known progress (`quality_label` successful, or "
            f"`progress` recorded), that can end data.min_progress_gap={material.gap:g} apart; "
            f"{material.share(members)} have known progress and {stages.shown} frames, no two of them so"
        )

    def draw(random: RowRandom) -> PairDraw:
        anchor = supported.draw(random, "same task/anchor")
        number = random.below("same task/partner", behind.count[anchor] + ahead.count[anchor])
        leads = number < behind.count[anchor]
        partner = np.empty_like(anchor)
        partner[leads] = behind.at(anchor[leads], number[leads])
        partner[~leads] = ahead.at(anchor[~leads], (number - behind.count[anchor])[~leads])
        better, worse = np.where(leads, anchor, partner), np.where(leads, partner, anchor)
        late = stages.draw_end(random, "same task/late", better, at_least=stages.least[worse] + stages.gap)
        reached = stages.progress_at(better, late)
        denied = (late == material.frames[better] - 1) & opposed(material.catalog, better, worse)
        early = stages.draw_end(random, "same task/early", worse, at_most=reached - stages.gap, stops=denied)
        count = stages.draw_count(random, better, worse, np.minimum(late, early) + 1)
        from_first = random.coin("same task/from the first frame")
        starts = (
            np.where(from_first, 0, random.below(f"same task/start {side}", end - count + 2))
            for side, end in (("late", late), ("early", early))
        )
        further = evenly(better, next(starts), late, count, material.max_frames)
        less_far = evenly(worse, next(starts), early, count, material.max_frames)
        return PairDraw(material.catalog.text_code[better], further, less_far)

    return draw


def stopped_early(material: Material) -> PairStrategy:
    """A whole success against a beginning, of itself every other time: then the two share their first frame alone."""
    stages = _Stages(material)
    whole = stages.members & (material.catalog.quality == SUCCESSFUL)
    others = PartnersBelow(stages.group, whole, stages.least, stages.last - stages.gap)
    itself = whole & stages.stops_within
    supported = material.lot(whole & (itself | (others.count > 0)))
    if not len(supported):
        raise Unsupported(
            "needs successful episodes whose end lies data.min_progress_gap="
            f"{material.gap:g} above an earlier frame, of it or of another success of its task, source and frame "
            f"size; {material.share(whole)} are successful and have {stages.shown} frames, none of them so"
        )

    def draw(random: RowRandom) -> PairDraw:
        success = supported.draw(random, "stopped/success")
        own = itself[success] & ((others.count[success] == 0) | random.coin("stopped/itself"))
        stopped = success.copy()
        number = random.below("stopped/other", np.maximum(others.count[success], 1))
        stopped[~own] = others.at(success[~own], number[~own])
        limit = stages.last[success] - stages.gap
        denied = opposed(material.catalog, success, stopped)
        end = stages.draw_end(random, "stopped/end", stopped, at_most=limit, apart=own, stops=denied)
        last = material.frames[success] - 1
        room = np.where(own, end // INTERLEAVED, np.minimum(end, last)) + 1
        count = stages.draw_count(random, success, stopped, room)
        whole_clip, beginning = (
            _from_first(material, of, to, count, own) for of, to in ((success, last), (stopped, end))
        )
        return PairDraw(material.catalog.text_code[success], whole_clip, beginning)

    return draw


@dataclass(frozen=True)
class _Stages:
    """Where clips of each trajectory can end, and the progress there."""

    material: Material

    @property
    def shown(self) -> int:
        """The fewest frames that clips show."""
        return min(FEWEST, self.material.max_frames)

    @property
    def gap(self) -> float:
        return self.material.gap - _SLACK

    @cached_property
    def members(self) -> Bool[np.ndarray, " n"]:
        """Of known progress and enough frames, one row a video."""
        able = self.material.several & self.material.progress.known & (self.material.frames >= self.shown)
        return one_a_video(self.material.catalog, able)

    @cached_property
    def group(self) -> Int64[np.ndarray, " n"]:
        """Task, source and frame size in one number."""
        look = self.material.look
        return self.material.catalog.task_code.astype(np.int64) * (int(look.max(initial=0)) + 1) + look

    @cached_property
    def least(self) -> Float64[np.ndarray, " n"]:
        """The least progress that a clip can end at before the last frame; above any limit where it is unknown."""

        def before_last(trajectory: Int64[np.ndarray, " m"]) -> np.ndarray:
            rungs, ends = self._ends(trajectory, stops=np.ones(len(trajectory), bool))
            return np.where(ends == 0, 2, rungs.range(ends)[0])

        return self.material.progress.measured(before_last).astype(np.float64)

    @cached_property
    def most(self) -> Float64[np.ndarray, " n"]:
        """The most progress that a clip can end at; below any limit where it is unknown."""

        def anywhere(trajectory: Int64[np.ndarray, " m"]) -> np.ndarray:
            rungs, ends = self._ends(trajectory)
            return np.where(ends == 0, -2, rungs.range(ends)[1])

        return self.material.progress.measured(anywhere).astype(np.float64)

    @cached_property
    def last(self) -> Float64[np.ndarray, " n"]:
        """The progress at the last frame."""
        everyone = np.arange(len(self.material.catalog))
        return self.progress_at(everyone, self.material.frames - 1)

    @cached_property
    def stops_within(self) -> Bool[np.ndarray, " n"]:
        """Trajectories of which a beginning, laid beside the whole, ends the gap below the end."""

        def stops(trajectory: Int64[np.ndarray, " m"]) -> np.ndarray:
            limit = self.last[trajectory] - self.gap
            return self._ends(trajectory, at_most=limit, apart=np.ones(len(trajectory), bool))[1] > 0

        return self.material.progress.measured(stops)

    def progress_at(
        self, trajectory: Int64[np.ndarray, " m"], frame: Int64[np.ndarray, " m"]
    ) -> Float64[np.ndarray, " m"]:
        """Return the progress of one frame each; NaN where unknown."""
        return self.material.progress.at(trajectory, frame[:, None])[:, 0].astype(np.float64)

    def draw_end(
        self,
        random: RowRandom,
        stream: str,
        trajectory: Int64[np.ndarray, " m"],
        *,
        at_least: Float64[np.ndarray, " m"] | None = None,
        at_most: Float64[np.ndarray, " m"] | None = None,
        apart: Bool[np.ndarray, " m"] | None = None,
        stops: Bool[np.ndarray, " m"] | None = None,
    ) -> Int64[np.ndarray, " m"]:
        """Return an end of each trajectory, evenly spread over progress within the bounds."""
        return draw_end(random, stream, *self._ends(trajectory, at_least, at_most, apart, stops))

    def draw_count(
        self, random: RowRandom, one: np.ndarray, other: np.ndarray, room: Int64[np.ndarray, " m"]
    ) -> Int64[np.ndarray, " m"]:
        """Return how many frames both clips of a pair show, drawn as for progress clips."""
        frames = np.minimum(self.material.frames[one], self.material.frames[other])
        most = most_shown(random, frames, self.material.max_frames)
        return fitting(most, room, self.material.max_frames)

    def _ends(
        self,
        trajectory: Int64[np.ndarray, " m"],
        at_least: Float64[np.ndarray, " m"] | None = None,
        at_most: Float64[np.ndarray, " m"] | None = None,
        apart: Bool[np.ndarray, " m"] | None = None,
        stops: Bool[np.ndarray, " m"] | None = None,
    ) -> tuple[Rungs, UInt64[np.ndarray, " m"]]:
        """Return rungs and the frames that clips can end at.

        That is before the last frame for clips that are `stops`, and beside a clip of the whole episode for `apart`.
        """
        rungs = self.material.progress.rungs(trajectory)
        inside = rungs.known & rungs.since(self.shown - 1)
        if at_least is not None:
            inside &= rungs.at_least(at_least - _SLACK)
        if at_most is not None:
            inside &= rungs.at_most(at_most + _SLACK)
        if apart is not None:
            ends_odd = self.material.frames[trajectory] % INTERLEAVED == 0
            beside = rungs.since(INTERLEAVED * (self.shown - 1)) & np.where(ends_odd, ~rungs.odd, rungs.odd)
            inside &= np.where(apart, beside, inside)
        if stops is not None:
            inside &= np.where(stops, rungs.until(self.material.frames[trajectory] - 2), inside)
        return rungs, inside


def _from_first(
    material: Material, trajectory: np.ndarray, end: np.ndarray, count: np.ndarray, beside_other: np.ndarray
) -> Clips:
    """Return forward clips from frame 0; on every other frame where they lie beside another clip of their episode."""
    start, straight = np.zeros_like(end), np.arange(material.max_frames) / (count - 1)[:, None]
    apart = interleaved(trajectory, start, end, straight, count)
    return Clips.where(beside_other, apart, evenly(trajectory, start, end, count, material.max_frames))
