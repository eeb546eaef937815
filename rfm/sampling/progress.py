"""Progress of frames: recorded where the trajectory has it, else by time for successful ones, else unknown.

Frame i of n (0-based) of a successful episode without a record has made, by `data.progress_pred_type`,

    absolute_wrt_total_frames   (x + 1) / (n c)
    absolute_first_frame        (x - s) / (n c - s - 1), and 1 in a clip that begins at or after the cut-off
    relative_first_frame        as the first; only the targets shown beside the clip become differences

stopped at 1, where x is the frame's place in time, i or, where the recording's `frame_times` are stored, t_i (n - 1);
s that of the clip's lowest frame; and c the source's success cut-off, 1 without one. An episode that is neither
recorded nor successful has no progress but at its very end, where its `partial_success` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from rfm.errors import ConfigError, DataError
from rfm.files.documents.csv_lines import csv_records
from rfm.sampling.bits import COLUMNS
from rfm.sampling.clips.table import Clips
from rfm.sampling.instructions import ELSEWHERE, OWN, UNKNOWN
from rfm.sampling.rungs import Rungs
from rfm.trajectories.catalog import Catalog

GRID = COLUMNS
"""Longer episodes have the ends of their clips on this many evenly spaced frames."""
SUCCESSFUL = 2


LARGEST_TABLE = 200_000
"""Curves up to which all are kept (544 bytes each); of more they are computed when asked for."""
_BLOCK = 4096
_LEAST_SPAN = 1e-9
"""Frames between a clip's start and the cut-off; less is rounding."""


@dataclass(frozen=True)
class Curves:
    """Progress on a grid of frames, row by row; columns beyond a short episode's end are NaN."""

    frames: Int32[np.ndarray, "m G"]
    progress: Float32[np.ndarray, "m G"]

    def rungs(self) -> Rungs:
        """Return the frames in the order of their progress."""
        return Rungs.sort(self.frames, self.progress)


class Kinds(NamedTuple):
    """Trajectories by their curve: those of one kind have the same length and the same progress at every frame."""

    members: Int64[np.ndarray, " k"]
    """A trajectory of each kind."""
    of: Int64[np.ndarray, " n"]
    """The kind of each trajectory."""


@dataclass(frozen=True)
class Progress:
    """What is known of the progress of a catalog's trajectories."""

    catalog: Catalog
    pred_type: str = "absolute_wrt_total_frames"
    cutoffs: Mapping[str, float] | None = None

    @cached_property
    def recorded(self) -> Bool[np.ndarray, " n"]:
        """Trajectories with recorded progress."""
        return np.diff(self.catalog.progress_offsets) > 0

    @cached_property
    def known(self) -> Bool[np.ndarray, " n"]:
        """Trajectories whose every frame has a progress."""
        return self.recorded | (self.catalog.quality == SUCCESSFUL)

    @cached_property
    def known_at_end(self) -> Bool[np.ndarray, " n"]:
        """Trajectories whose last frame has a progress."""
        return self.known | ~np.isnan(self.catalog.partial_success)

    @cached_property
    def at_last_frame(self) -> Float32[np.ndarray, " n"]:
        """The progress at the last frame of each trajectory; NaN unknown."""
        rows = np.arange(len(self.catalog))
        by_frame = self._total(rows, self.catalog.num_frames.astype(np.int64)[:, None] - 1)[:, 0]
        return np.where(self.known, by_frame, self.catalog.partial_success).astype(np.float32)

    @cached_property
    def _cutoff(self) -> Float64[np.ndarray, " n"]:
        cutoffs = self.cutoffs or {}
        by_source = np.array([cutoffs.get(str(name), 1.0) for name in self.catalog.sources.to_pylist()] or [1.0])
        return np.asarray(by_source[self.catalog.source_code])

    @cached_property
    def _timed(self) -> Bool[np.ndarray, " n"]:
        """Trajectories whose progress is the recorded time of their frames."""
        return self.known & ~self.recorded & (np.diff(self.catalog.times_offsets) > 0)

    @cached_property
    def kinds(self) -> Kinds:
        """The kinds of curves: by length and success cut-off where frames are evenly spaced in time, else its own."""
        cutoffs, code = np.unique(self._cutoff, return_inverse=True)
        key = (self.catalog.num_frames.astype(np.int64) * len(cutoffs) + code) * 2 + self.known
        key = np.where(self.recorded | self._timed, -1 - np.arange(len(key)), key)
        _, members, of = np.unique(key, return_index=True, return_inverse=True)
        return Kinds(members, of)

    def measured(self, measure: Callable[[Int64[np.ndarray, " m"]], np.ndarray]) -> np.ndarray:
        """Return `measure(trajectories)` of all trajectories; computed once for those of a kind, block by block."""
        members = self.kinds.members
        parts = [measure(members[low : low + _BLOCK]) for low in range(0, max(len(members), 1), _BLOCK)]
        return np.concatenate(parts)[self.kinds.of]

    def curves(self, trajectory: Int64[np.ndarray, " m"]) -> Curves:
        """Return the progress of up to GRID frames of each trajectory, first and last included."""
        n = self.catalog.num_frames[trajectory].astype(np.int64)
        frames = self.grid(n)
        inside = frames < n[:, None]
        values = self._total(trajectory, np.minimum(frames, n[:, None] - 1))
        return Curves(frames.astype(np.int32), np.where(inside, values, np.nan).astype(np.float32))

    def curves_towards(self, entry: Int64[np.ndarray, " m"]) -> Curves:
        """Return the progress that entries of `Catalog.towards` record, at the frames of their trajectories' curves."""
        n = self.catalog.num_frames[self.catalog.towards.trajectory[entry]].astype(np.int64)
        frames = self.grid(n)
        inside = frames < n[:, None]
        values = self._towards(entry, np.minimum(frames, n[:, None] - 1))
        return Curves(frames.astype(np.int32), np.where(inside, values, np.nan).astype(np.float32))

    def rungs(self, trajectory: Int64[np.ndarray, " m"]) -> Rungs:
        """Return the frames of each trajectory's curve in the order of their progress."""
        if self._table is None:
            return self.curves(trajectory).rungs()
        return self._table.take(self.kinds.of[trajectory])

    def rungs_towards(self, entry: Int64[np.ndarray, " m"]) -> Rungs:
        """Return the frames of each entry's curve (`curves_towards`) in the order of their progress."""
        return self.curves_towards(entry).rungs() if self._table_towards is None else self._table_towards.take(entry)

    @cached_property
    def _table(self) -> Rungs | None:
        """Those of each kind."""
        members = self.kinds.members
        return _table(len(members), lambda rows: self.curves(members[rows]))

    @cached_property
    def _table_towards(self) -> Rungs | None:
        return _table(len(self.catalog.towards), self.curves_towards)

    def grid(self, n: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, "m G"]:
        """Return the frames that curves of episodes of `n` frames have; numbers >= n mark columns without one.

        Of long episodes even and odd frames take turns, so that there are ends of either kind; the last is n - 1.
        """
        columns = np.arange(GRID)
        spread = columns * ((n - 1) / (GRID - 1))[:, None]
        frames = columns % 2 + 2 * np.floor((spread - columns % 2) / 2 + 0.5).astype(np.int64)
        frames[:, -1] = n - 1
        return np.where((n <= GRID)[:, None], columns, frames)

    def at(self, trajectory: Int64[np.ndarray, " m"], frames: Int64[np.ndarray, "m K"]) -> Float32[np.ndarray, "m K"]:
        """Return the progress of frames in the scale of the whole episode; NaN unknown."""
        return self._total(trajectory, frames).astype(np.float32)

    def at_ends(self, clips: Clips, relation: Int64[np.ndarray, " m"] | None = None) -> Float32[np.ndarray, " m"]:
        """Return the progress at the last shown frame of each clip, in the scale of the whole episode; NaN unknown.

        Towards the clip's own task, or that which `relation` says is asked (`Instructions.relation`).
        """
        values = self._total(clips.trajectory, clips.end()[:, None])
        self._fill_ends(clips, values, np.zeros(len(clips.count), np.int64))
        if relation is not None:
            values = self._asked(values, relation, clips.end()[:, None])
        return values[:, 0].astype(np.float32)

    def of_clips(
        self, clips: Clips, relation: Int64[np.ndarray, " m"] | None = None, *, from_first: bool = False
    ) -> Float32[np.ndarray, "m K"]:
        """Return the progress of each shown frame; NaN where unknown and in unused columns.

        Towards the clip's own task, or that which `relation` says is asked (`Instructions.relation`).
        `from_first` counts time from the clip's lowest frame where `pred_type` is absolute_first_frame; clips that are
        compared with each other need one scale and leave it off.
        """
        frames = np.maximum(clips.indices, 0)
        values = self._total(clips.trajectory, frames)
        if from_first and self.pred_type == "absolute_first_frame":
            values = np.where(self.recorded[clips.trajectory][:, None], values, self._from_first(clips, frames))
        self._fill_ends(clips, values, clips.count - 1)
        if relation is not None:
            values = self._asked(values, relation, frames)
        return np.where(clips.indices >= 0, values, np.nan).astype(np.float32)

    def targets(self, progress: Float32[np.ndarray, "m K"]) -> Float32[np.ndarray, "m K"]:
        """Return `target_progress` for the progress of shown frames."""
        if self.pred_type != "relative_first_frame":
            return progress
        return np.diff(progress, axis=1, prepend=progress[:, :1])

    def _total(self, trajectory: np.ndarray, frames: np.ndarray) -> Float64[np.ndarray, "m K"]:
        n = self.catalog.num_frames[trajectory].astype(np.int64)[:, None]
        by_time = np.minimum((self._place(trajectory, frames) + 1) / (n * self._cutoff[trajectory][:, None]), 1.0)
        values = np.where(self.known[trajectory][:, None], by_time, np.nan)
        recorded = self.recorded[trajectory]
        if recorded.any():
            at = self.catalog.progress_offsets[trajectory[recorded]][:, None] + frames[recorded]
            values[recorded] = self.catalog.progress_values[at]
        return values

    def _towards(self, entry: Int64[np.ndarray, " m"], frames: Int64[np.ndarray, "m K"]) -> Float32[np.ndarray, "m K"]:
        towards = self.catalog.towards
        return towards.values[towards.offsets[entry][:, None] + frames]

    def _asked(self, own: np.ndarray, relation: Int64[np.ndarray, " m"], frames: np.ndarray) -> np.ndarray:
        """Return `own` with the progress towards other tasks in the rows that ask for them."""
        out = np.where((relation == ELSEWHERE)[:, None], 0.0, np.where((relation == UNKNOWN)[:, None], np.nan, own))
        rows = np.flatnonzero(relation > OWN)
        if len(rows):
            out[rows] = self._towards(relation[rows], frames[rows])
        return out

    def _from_first(self, clips: Clips, frames: np.ndarray) -> Float64[np.ndarray, "m K"]:
        n = self.catalog.num_frames[clips.trajectory].astype(np.int64)
        first = self._place(clips.trajectory, clips.lowest()[:, None])
        span = (n * self._cutoff[clips.trajectory])[:, None] - first - 1
        made = (self._place(clips.trajectory, frames) - first) / np.maximum(span, _LEAST_SPAN)
        values = np.where(span > _LEAST_SPAN, np.minimum(made, 1.0), 1.0)
        return np.where(self.known[clips.trajectory][:, None], values, np.nan)

    def _place(self, trajectory: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Return where frames lie in time, in frames: their numbers, or what the recording's times say."""
        timed = self._timed[trajectory]
        if not timed.any():
            return frames
        place, rows = frames.astype(np.float64), trajectory[timed]
        times = self.catalog.times_values[self.catalog.times_offsets[rows][:, None] + frames[timed]]
        place[timed] = times.astype(np.float64) * (self.catalog.num_frames[rows][:, None] - 1)
        return place

    def _fill_ends(self, clips: Clips, values: np.ndarray, column: Int64[np.ndarray, " m"]) -> None:
        """Put partial success at `column` of clips that run to the end of an otherwise unknown episode."""
        rows = np.flatnonzero(~self.known[clips.trajectory])
        rows = rows[clips.end()[rows] == self.catalog.num_frames[clips.trajectory[rows]] - 1]
        values[rows, column[rows]] = self.catalog.partial_success[clips.trajectory[rows]]


def _table(count: int, curves: Callable[[Int64[np.ndarray, " m"]], Curves]) -> Rungs | None:
    """Return the rungs of `count` curves; None where those are too many to keep."""
    if count > LARGEST_TABLE:
        return None
    numbers = np.arange(count)
    return Rungs.joined([curves(numbers[low : low + _BLOCK]).rungs() for low in range(0, max(count, 1), _BLOCK)])


def read_cutoffs(path: str | None) -> dict[str, float]:
    """Read `data.dataset_success_cutoff_file`, lines of `data_source,share` with shares in (0, 1]."""
    if path is None:
        return {}
    cutoffs: dict[str, float] = {}
    try:
        for number, fields, fault in csv_records(path):
            if fault is not None:
                raise DataError(f"{path} line {number} {fault}")
            if fields[0].startswith("#"):
                continue
            source, share = _cutoff(fields, f"{path} line {number}")
            if cutoffs.setdefault(source, share) != share:
                raise DataError(f"{path} line {number} must give a source of its own, but {source!r} has another share")
    except DataError as error:
        raise ConfigError(f"`data.dataset_success_cutoff_file` must list shares by source, but {error}") from error
    return cutoffs


def _cutoff(fields: list[str], place: str) -> tuple[str, float]:
    try:
        source, text = fields
        share = float(text)
    except ValueError:
        raise DataError(f"{place} must be data_source,share, but is {','.join(fields)[:100]!r}") from None
    share = share / 100 if share > 1 else share
    if not 0 < share <= 1:
        raise DataError(f"{place}: the share of {source!r} must lie in (0, 1] or (0, 100], but is {text!r}")
    return source.strip(), share
