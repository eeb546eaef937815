"""Pairs of two tasks of one scene: which clip got further on the instruction of one of them?

The clip of the asked task (`own`) ends at its progress, the other one (an entry of `Catalog.towards`) at its recorded
progress towards the asked task; the two ends differ by the gap, and either may be the further one. Partners are sorted
by how low (or how high) they can end, so those that leave room for the gap are one run: who has none is
known beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from rfm.sampling.clips.ends import draw_end
from rfm.sampling.material import Material
from rfm.sampling.random import RowRandom
from rfm.sampling.rungs import Rungs

_BLOCK = 4096


class SameScenePair(NamedTuple):
    """Of each row: the clip of the asked task and where it ends, the other task's entry and where it ends."""

    entry: Int64[np.ndarray, " m"]
    end: Int64[np.ndarray, " m"]
    end_of_other: Int64[np.ndarray, " m"]
    own_is_better: Bool[np.ndarray, " m"]
    whole: Bool[np.ndarray, " m"]
    """Whether both episodes are shown from the first frame to the last."""


class SameScenePairs:
    """Draws a clip of another task of its scene for trajectories whose own task is asked."""

    def __init__(self, material: Material, own: Bool[np.ndarray, " n"]):
        catalog, progress = material.catalog, material.progress
        self._material, self._gap = material, material.gap - 1e-6
        entries = material.instructions.entries
        entries = entries[material.several[catalog.towards.trajectory[entries]]]
        tasks = len(catalog.tasks)
        of_entry = material.look[catalog.towards.trajectory[entries]] * tasks + catalog.towards.task[entries]
        self._code = material.look * tasks + catalog.task_code
        low, high = _extremes(material, entries)
        self._low, self._high = np.full(len(catalog.towards), np.inf), np.full(len(catalog.towards), -np.inf)
        self._low[entries], self._high[entries] = low, high
        own_low, own_high = progress.measured(lambda rows: _ends(material, rows)).T
        self._own_low: Float64[np.ndarray, " n"] = own_low
        self._sides = (
            _Side.build(entries, of_entry, low, self._code, np.where(own, own_high, -np.inf) - self._gap),
            _Side.build(entries, of_entry, -high, self._code, np.where(own, -own_low, -np.inf) - self._gap),
        )
        self.serves: Bool[np.ndarray, " n"] = np.maximum(*(side.count for side in self._sides)) > 0
        """Trajectories that have a partner."""

    def draw(self, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> SameScenePair:
        """Return a partner of each trajectory, which must have one, and ends that differ by the gap."""
        ahead, behind = self._sides
        coin = random.coin("same scene/own is better")
        better = np.where(ahead.count[trajectory] == 0, False, np.where(behind.count[trajectory] == 0, True, coin))
        ticket = random.uniform("same scene/partner")
        entry = np.where(better, ahead.at(trajectory, ticket), behind.at(trajectory, ticket))
        own, own_late = _allowed(self._material, trajectory)
        other, other_late = _allowed_of(self._material, entry)
        reaches, misses = own.at_least(self._low[entry] + self._gap), own.at_most(self._high[entry] - self._gap)
        end = draw_end(random, "same scene/own", own, own_late & np.where(better, reaches, misses))
        reached = own.at_frame(end)
        less, more = other.at_most(reached - self._gap), other.at_least(reached + self._gap)
        end_of_other = draw_end(random, "same scene/other", other, other_late & np.where(better, less, more))
        return self._whole(random, trajectory, SameScenePair(entry, end, end_of_other, better, better & False))

    def _whole(self, random: RowRandom, trajectory: Int64[np.ndarray, " m"], pair: SameScenePair) -> SameScenePair:
        """Return every other pair of those whose last frames differ by the gap as whole episodes."""
        progress, frames, towards = self._material.progress, self._material.frames, self._material.catalog.towards
        shown = towards.trajectory[pair.entry]
        last, last_of_other = frames[trajectory] - 1, frames[shown] - 1
        own = progress.at(trajectory, last[:, None])[:, 0].astype(np.float64)
        other = towards.values[towards.offsets[pair.entry + 1] - 1].astype(np.float64)
        whole = random.coin("same scene/whole episodes") & (np.abs(own - other) >= self._gap)
        return SameScenePair(
            pair.entry,
            np.where(whole, last, pair.end),
            np.where(whole, last_of_other, pair.end_of_other),
            np.where(whole, own > other, pair.own_is_better),
            whole,
        )


@dataclass(frozen=True)
class _Side:
    """Partners sorted by (code, value): those whose value is at most a trajectory's own are the first of their run."""

    entries: Int64[np.ndarray, " k"]
    begin: Int64[np.ndarray, " n"]
    count: Int64[np.ndarray, " n"]

    @staticmethod
    def build(
        entries: Int64[np.ndarray, " k"],
        code: Int64[np.ndarray, " k"],
        value: Float64[np.ndarray, " k"],
        of: Int64[np.ndarray, " n"],
        most: Float64[np.ndarray, " n"],
    ) -> _Side:
        order = np.lexsort((value, code))
        keys = code[order] * 8.0 + value[order]  # values lie in [-1, 1]
        begin = np.searchsorted(code[order], of, "left")
        past = np.searchsorted(keys, of * 8.0 + np.clip(most, -3, 3), "right")
        return _Side(entries[order], begin, np.maximum(past - begin, 0))

    def at(self, trajectory: Int64[np.ndarray, " m"], ticket: Float64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return a partner of each trajectory; of those that have none, any."""
        count = self.count[trajectory]
        place = self.begin[trajectory] + np.minimum((ticket * count).astype(np.int64), np.maximum(count - 1, 0))
        return self.entries[np.minimum(place, len(self.entries) - 1)]


def _allowed(material: Material, trajectory: np.ndarray) -> tuple[Rungs, UInt64[np.ndarray, " m"]]:
    """Return rungs and the frames that a clip of full length can end at."""
    rungs = material.progress.rungs(trajectory)
    return rungs, _late(material, trajectory, rungs)


def _allowed_of(material: Material, entry: np.ndarray) -> tuple[Rungs, UInt64[np.ndarray, " m"]]:
    rungs = material.progress.rungs_towards(entry)
    return rungs, _late(material, material.catalog.towards.trajectory[entry], rungs)


def _late(material: Material, trajectory: np.ndarray, rungs: Rungs) -> UInt64[np.ndarray, " m"]:
    return rungs.known & rungs.since(np.minimum(material.max_frames, material.frames[trajectory]) - 1)


def _ends(material: Material, trajectory: np.ndarray) -> Float64[np.ndarray, "m 2"]:
    return np.stack(_spread(*_allowed(material, trajectory)), axis=1)


def _extremes(material: Material, entries: np.ndarray) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    parts = [
        _spread(*_allowed_of(material, entries[low : low + _BLOCK])) for low in range(0, max(len(entries), 1), _BLOCK)
    ]
    return np.concatenate([low for low, _ in parts]), np.concatenate([high for _, high in parts])


def _spread(rungs: Rungs, allowed: UInt64[np.ndarray, " m"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the most progress of allowed frames; inf and -inf where there is none."""
    low, high = (values.astype(np.float64) for values in rungs.range(allowed))
    return np.where(allowed == 0, np.inf, low), np.where(allowed == 0, -np.inf, high)
