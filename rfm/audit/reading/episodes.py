"""The trajectories that clips show, and how much progress their frames make, computed anew from their records.

Nothing here knows how questions are drawn: a label is judged by its row and its trajectory alone. Matching goes by the
frame file; where several trajectories share one, by the row's trajectory id.

Shape legend: n rows, t trajectories.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.audit.reading.asking import ELSEWHERE, OWN, RECORDED, UNKNOWN, Asked, Asking
from rfm.audit.reading.questions import Clip, Questions, Words
from rfm.errors import ConfigError, DataError
from rfm.trajectories.catalog import Catalog, available_keys, load_catalog
from rfm.trajectories.opposites import with_cut_off_opposites
from rfm.trajectories.record import QUALITY_LABELS, is_number

logger = logging.getLogger(__name__)

SUCCESSFUL = QUALITY_LABELS.index("successful")
_ROUNDING = 1e-9  # in frames
_SCORE = 1e-5  # partial success is a 32-bit float


@dataclass(frozen=True)
class Episodes:
    """The catalog of the trajectories that a dataset's rows may show, with the settings that labels depend on."""

    catalog: Catalog
    pred_type: str = "absolute_wrt_total_frames"
    cutoffs: Mapping[str, float] | None = field(default_factory=dict)
    """Share of an episode's time at which its task is done, by source; None: not known."""

    @cached_property
    def frames(self) -> Int64[np.ndarray, " t"]:
        """Frames of each trajectory."""
        return self.catalog.num_frames.astype(np.int64)

    @cached_property
    def has_record(self) -> Bool[np.ndarray, " t"]:
        """Trajectories with recorded progress."""
        return np.diff(self.catalog.progress_offsets) > 0

    @cached_property
    def by_time(self) -> Bool[np.ndarray, " t"]:
        """Successful trajectories without a record: time is their progress."""
        return ~self.has_record & (self.catalog.quality == SUCCESSFUL)

    @cached_property
    def outcome(self) -> Float64[np.ndarray, " t"]:
        """Partial success at the end, 1 for successful trajectories that have none, NaN where unknown."""
        partial = self.catalog.partial_success.astype(np.float64)
        return np.where((self.catalog.quality == SUCCESSFUL) & np.isnan(partial), 1.0, partial)

    def match(self, questions: Questions, clip: Clip) -> Int64[np.ndarray, " n"]:
        """Return the trajectory of each row's clip; UNKNOWN where none or several could be meant."""
        by_path, shared = self.by_path(questions.paths)
        found = np.append(by_path, UNKNOWN)[clip.path]
        unclear = np.append(shared, False)[clip.path]
        if clip.trajectory_id is None or not unclear.any():
            return np.where(unclear, UNKNOWN, found)
        return np.where(unclear, self._by_id(clip.trajectory_id), found)

    def by_path(self, paths: tuple[str, ...]) -> tuple[Int64[np.ndarray, " p"], Bool[np.ndarray, " p"]]:
        """Return the trajectory of each frame file, and whether several share it."""
        place: dict[str, int] = {}
        shared = set()
        for at, path in enumerate(self.catalog.frames_path.to_pylist()):
            if place.setdefault(path, at) != at:
                shared.add(path)
        relative = [path.removeprefix(f"{self.catalog.root}/") for path in paths]
        found = np.array([place.get(path, UNKNOWN) for path in relative], np.int64)
        return found, np.array([path in shared for path in relative], bool)

    def progress(
        self,
        trajectory: Int64[np.ndarray, " n"],
        frame: Int64[np.ndarray, " n"],
        lowest: Int64[np.ndarray, " n"] | None = None,
    ) -> Float64[np.ndarray, " n"]:
        """Return the progress in [0, 1] of a frame of each trajectory; NaN where nothing tells it.

        `lowest` is the lowest frame of the clip, from which `absolute_first_frame` counts time; without it time is
        counted from the start of the episode, as clips that are compared with each other need it.
        """
        known = (trajectory >= 0) & (frame >= 0)
        at = np.where(known, trajectory, 0)
        known &= frame < self.frames[at]
        inside = np.where(known, frame, 0)
        timed = self.by_time[at] & (self.cutoffs is not None)
        value = np.where(timed, self._time(at, inside, lowest), np.nan)
        recorded = known & self.has_record[at]
        value[recorded] = self.catalog.progress_values[self.catalog.progress_offsets[at[recorded]] + inside[recorded]]
        by_outcome = ~self.has_record[at] & ~self.by_time[at] & (inside == self.frames[at] - 1)
        value = np.where(by_outcome, self.outcome[at], value)
        return np.where(known, value, np.nan)

    def timed(self, trajectory: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Return which trajectories have their progress from time, but with a cut-off that is not known."""
        return (trajectory >= 0) & self.by_time[trajectory] & (self.cutoffs is None)

    @cached_property
    def asking(self) -> Asking:
        """What instructions are to the clips of the trajectories."""
        return Asking(self.catalog)

    def progress_asked(
        self,
        asked: Asked,
        trajectory: Int64[np.ndarray, " n"],
        frame: Int64[np.ndarray, " n"],
        lowest: Int64[np.ndarray, " n"] | None = None,
    ) -> Float64[np.ndarray, " n"]:
        """Return the progress of a frame of each trajectory on the instruction; NaN where nothing tells it.

        `lowest` is as in `progress`, which counts for the trajectory's own task.
        """
        own = self.progress(trajectory, frame, lowest)
        value = np.where(asked.holds(OWN), own, np.where(asked.holds(ELSEWHERE), 0.0, np.nan))
        at = np.where(asked.holds(RECORDED), trajectory, 0)
        inside = asked.holds(RECORDED) & (frame >= 0) & (frame < self.frames[at])
        towards = self.catalog.towards
        value[inside] = towards.values[towards.offsets[asked.record[inside]] + frame[inside]]
        return value

    def conflicting(self, threshold: float) -> Bool[np.ndarray, " t"]:
        """Return which trajectories' partial success contradicts their label or the end of their recorded progress.

        A failure above 1 - threshold (and above a half), a success at or below it, a record that ends by the threshold
        or more apart; and rows about one video and task of which that is so together, or whose labels, partial
        successes or records differ so. docs/generation.md, "Contradictions".
        """
        partial = self.catalog.partial_success.astype(np.float64)
        failed, succeeded = self.catalog.quality == 0, self.catalog.quality == SUCCESSFUL
        end = np.full(len(partial), np.nan)
        end[self.has_record] = self.catalog.progress_values[self.catalog.progress_offsets[1:][self.has_record] - 1]
        with np.errstate(invalid="ignore"):
            high = failed & (partial > 1 - threshold + _SCORE) & (partial > 0.5 + _SCORE)
            low = succeeded & (partial <= 1 - threshold + _SCORE)
            found = high | low | (np.abs(end - partial) >= threshold - _SCORE)
        for rows in self._told_twice:
            found[rows] |= found[rows].any() or self._differ(rows, partial[rows], end[rows], threshold - _SCORE)
        return found

    @cached_property
    def _told_twice(self) -> list[Int64[np.ndarray, " k"]]:
        """The rows of each video and task that have several."""
        key = np.stack([self.catalog.file_code, self.catalog.family_code])
        _, of, rows = np.unique(key, axis=1, return_inverse=True, return_counts=True)
        several = np.flatnonzero(rows[of.reshape(-1)] > 1)
        order = several[np.argsort(of.reshape(-1)[several], kind="stable")]
        return np.split(order, np.cumsum(rows[rows > 1])[:-1]) if len(order) else []

    def _differ(self, rows: np.ndarray, partial: np.ndarray, end: np.ndarray, apart: float) -> bool:
        label = self.catalog.quality[rows]
        known = [values[~np.isnan(values)] for values in (partial, end, np.concatenate([partial, end]))]
        success, failure = (label == SUCCESSFUL).any(), (label == 0).any()
        return bool(
            len(np.unique(label[label >= 0])) > 1
            or any(len(values) and np.ptp(values) >= apart for values in known)
            or (success and (known[0] <= 1 - apart).any())
            or (failure and (known[0] > max(1 - apart, 0.5)).any())
        )

    def _time(self, at: np.ndarray, frame: np.ndarray, lowest: np.ndarray | None) -> Float64[np.ndarray, " n"]:
        shares = np.array([(self.cutoffs or {}).get(str(name), 1.0) for name in self.catalog.sources.to_pylist()])
        length = self.frames[at] * shares[self.catalog.source_code[at]]
        place = self._place(at, frame)
        if lowest is None or self.pred_type != "absolute_first_frame":
            return np.minimum((place + 1) / length, 1.0)
        start = self._place(at, np.clip(lowest, 0, self.frames[at] - 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            made = (place - start) / (length - start - 1)
        return np.where(start + 1 >= length - _ROUNDING, 1.0, np.minimum(made, 1.0))

    def _place(self, at: np.ndarray, frame: np.ndarray) -> Float64[np.ndarray, " n"]:
        """Return where a frame of each trajectory lies in time: its number, or its recorded time in frames."""
        offsets, place = self.catalog.times_offsets, frame.astype(np.float64)
        stored = np.diff(offsets)[at] > 0
        times = self.catalog.times_values[offsets[at[stored]] + frame[stored]].astype(np.float64)
        place[stored] = times * (self.frames[at[stored]] - 1)
        return place

    def _by_id(self, ids: Words) -> Int64[np.ndarray, " n"]:
        place = {name: at for at, name in enumerate(self.catalog.ids.to_pylist())}
        return ids.map(np.array([place.get(name, UNKNOWN) for name in ids.distinct], np.int64), UNKNOWN)


def data_settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the data settings in a `generation_config.json`, {} where it has none."""
    whole = config.get("config")
    data = whole.get("data") if isinstance(whole, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def load_episodes(root: Path, paths: tuple[str, ...], config: Mapping[str, Any]) -> Episodes:
    """Load the trajectories of the datasets that `paths` lie in; of all below `root` if some path names none of them.

    `config` is the dataset's `generation_config.json`, {} where there is none. Datasets that it says were drawn from
    are loaded as well: in which scenes a task occurs, and what is said of one video, is known from all of them.

    Raises:
        ConfigError: there is no trajectory dataset below `root`.
        DataError: one can't be read.

    """
    keys = available_keys(root)
    if not keys:
        raise ConfigError(f"`datasets_root` must hold trajectory datasets, but {root} has none")
    named = {path.partition("/")[0] for path in paths}
    catalog = load_catalog(root, sorted(named | _drawn_from(config, keys)) if named <= set(keys) else keys)
    data = data_settings(config)
    pred_type = str(data.get("progress_pred_type", Episodes.pred_type))
    cutoffs = _cutoffs(data.get("dataset_success_cutoff_file"), config.get("success_cutoffs"))
    return Episodes(with_cut_off_opposites(catalog, cutoffs or {}), pred_type, cutoffs)


def _drawn_from(config: Mapping[str, Any], keys: Sequence[str]) -> set[str]:
    """Return which of the datasets `keys` the record says that questions were drawn from."""
    hashes = config.get("source_hashes")
    folders = [] if not isinstance(hashes, Mapping) else [re.sub("[/:]", "_", str(key)).strip() for key in hashes]
    return set(folders) & set(keys)


def _cutoffs(file: Any, recorded: Any) -> Mapping[str, float] | None:
    """Return the cut-offs by source that the dataset's record holds; None if it only names the file they were in.

    That file is never opened: whoever wrote the dataset could name any.
    """
    if recorded is None and file is not None:
        logger.warning("progress by time is not checked: the dataset names a file of cut-offs, but does not hold them")
        return None
    shares = {} if recorded is None else recorded
    if not isinstance(shares, Mapping) or not all(is_number(share) and 0 < share <= 1 for share in shares.values()):
        raise DataError("`success_cutoffs` of the dataset's record must be shares in (0, 1] by source, but are not")
    return shares


def try_load_episodes(
    root: Path | None, paths: tuple[str, ...], config: Mapping[str, Any]
) -> tuple[Episodes | None, str]:
    """Return the episodes, or None and why they are not there."""
    if root is None:
        return None, "the datasets root is not known"
    try:
        return load_episodes(root, paths, config), ""
    except (ConfigError, DataError) as error:
        return None, str(error)
