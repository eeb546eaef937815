"""`rfm ingest lerobot`: a LeRobot dataset, one row an episode.

The task of an episode is what its frames say (`task_index`), its success `next.success` at its end unless the user
gives another rule. Frames are matched to the recorded timestamps. Only the small columns are read here, one parquet
file at a time; pictures are read when an episode's turn comes.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from rfm.errors import ConfigError, DataError
from rfm.ingest.episode import Episode, FrameSource
from rfm.ingest.lerobot.dataset import Camera, Entry, LeRobotDataset, read_dataset
from rfm.ingest.lerobot.frames import ParquetPictures, VideoStretch
from rfm.ingest.lerobot.rows import EpisodeRows, RowReader, flat
from rfm.ingest.lerobot.stretches import Parts, checked_parts
from rfm.ingest.lerobot.timing import counts_frames, runs_backwards
from rfm.ingest.options import run_ingest
from rfm.ingest.reading import confined, rejected
from rfm.ingest.remote.hub import hub_dataset, is_hub_name
from rfm.ingest.rules.applied import Rules
from rfm.ingest.rules.labels import LabelOptions
from rfm.ingest.rules.texts import WAYS, recorded_text

logger = logging.getLogger(__name__)

SUCCESS = "next.success"
"""The one column that means success wherever it is recorded."""

ANNOTATIONS = "annotation."
"""How columns begin that hold numbers of tasks, as GR00T adds them."""

_MOST_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class IngestLeRobotOptions(LabelOptions):
    """Turn a LeRobot dataset (v2.0, v2.1 or v3.0; a folder, or a name on the hub) into a trajectory dataset."""

    camera: str | None = field(
        default=None, metadata={"help": "Video or image feature, or its last part; needed where there are several"}
    )
    revision: str | None = field(
        default=None, metadata={"help": "Branch, tag or commit of a dataset on the hub; default: its main branch"}
    )
    tolerance: float | None = field(
        default=None,
        metadata={"help": "Seconds between a row and its picture at most; default: a step of rows or of the camera"},
    )

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0 < self.tolerance < inf:
            raise ConfigError(f"`tolerance` must be a number of seconds above 0, but is {self.tolerance}")


def ingest_lerobot_command(options: IngestLeRobotOptions) -> int:
    """Run `rfm ingest lerobot`; status 1 if an episode was rejected."""
    return run_ingest(lerobot_episodes, options)


def lerobot_episodes(options: IngestLeRobotOptions) -> Iterator[Episode]:
    """The episodes in the order of the metadata; faulty ones with their reason."""
    options = fetched(options)
    dataset = read_dataset(Path(options.path))
    camera = dataset.camera(options.camera)
    parts = checked_parts(dataset, camera, dataset.entries(camera))
    for note in parts.notes:
        logger.warning("%s", note)
    reader = _Reader(dataset, camera, parts, options)
    listed: set[int] = set()
    for number, entry in enumerate(dataset.entries(camera)):
        if isinstance(entry, DataError):
            yield rejected(f"{options.source_name}_entry_{number}", options.source_name, entry)
            continue
        listed.add(entry.index)
        try:
            yield reader.episode(entry)
        except DataError as error:
            yield rejected(reader.name(entry), options.source_name, error)
    if dataset.total_episodes > len(listed):
        yield rejected(f"{options.source_name}_missing", options.source_name, _missing(dataset, listed))
    if parts.unused:
        yield rejected(f"{options.source_name}_unused_videos", options.source_name, parts.unused)
    reader.rules.finish()


def fetched(options: IngestLeRobotOptions) -> IngestLeRobotOptions:
    """The options with the folder in place of a name on the hub, of which what the camera needs is downloaded."""
    if not is_hub_name(options.path):
        if options.revision is not None:
            raise ConfigError(f"--revision must go with `owner/name` on the hub, but PATH is {options.path}")
        return options
    described = hub_dataset(options.path, ["meta/*"], options.revision)
    camera = read_dataset(described).camera(options.camera)
    videos = [f"videos/*{escape(camera.key)}/*"] if camera.kind == "video" else []
    whole = hub_dataset(options.path, ["meta/*", "data/*", *videos], options.revision)
    return replace(options, path=str(whole), data_source=options.source_name, revision=None)


class _Columns:
    """What an episode records, a row a frame or in its entry."""

    def __init__(self, dataset: LeRobotDataset, entry: Entry, rows: EpisodeRows):
        self._dataset, self._entry, self._rows = dataset, entry, rows

    def columns(self) -> Collection[str]:
        return list(dict.fromkeys([*self._dataset.features, *self._rows.columns, *self._entry.columns]))

    def values(self, column: str) -> Sequence[Any] | None:
        if column in self._rows.named:
            values = self._rows.named[column]
            return self._texts(values) if column.startswith(ANNOTATIONS) or column == "task_index" else values
        return flat([self._entry.columns[column]]) if column in self._entry.columns else None

    def _texts(self, values: Sequence[Any]) -> Sequence[Any]:
        """The texts that the values are numbers of."""
        return [self._dataset.tasks.get(value, value) if type(value) is int else value for value in values]


class _Reader:
    """Makes episodes of entries."""

    def __init__(self, dataset: LeRobotDataset, camera: Camera, parts: Parts, options: IngestLeRobotOptions):
        self.rules = Rules(options, SUCCESS if SUCCESS in dataset.features else None)
        self._dataset, self._camera, self._parts, self._options = dataset, camera, parts, options
        self._rows = RowReader(dataset, self.rules.named)

    def name(self, entry: Entry) -> str:
        return f"{self._options.source_name}_{entry.index:06d}"

    def episode(self, entry: Entry) -> Episode:
        names = (self.name(entry), str(entry.index))
        for name in names:
            self.rules.meet(name)
        if entry.length < 1:
            raise DataError(f"`length` of episode {entry.index} must be at least 1, but is {entry.length}")
        rows = self._rows.rows(entry)
        task, label = self.rules.apply(names, f"episode {entry.index}", _Columns(self._dataset, entry, rows))
        return Episode(
            id=names[0],
            task=task or self._task(entry, rows.tasks),
            data_source=self._options.source_name,
            source=self._source(entry, rows),
            quality_label=label.quality,
            partial_success=label.partial_success,
        )

    def _task(self, entry: Entry, indices: Sequence[int | None] | None) -> str:
        """What the rows say, or else the entry; one text."""
        known = self._dataset.tasks
        unknown = [index for index in set(indices or ()) if index is None or index not in known]
        if unknown:
            raise DataError(
                f"`task_index` of episode {entry.index} must be one of the {len(known)} tasks in meta/, "
                f"but is {unknown[0]}"
            )
        listed = entry.columns.get("tasks")
        texts = [known[index] for index in indices if index is not None] if indices is not None else listed
        distinct = {str(text).strip() for text in (texts if isinstance(texts, list) else [])} - {""}
        if len(distinct) > 1:
            raise DataError(f"episode {entry.index} must have one task, but has {len(distinct)}: give {WAYS}")
        return recorded_text(distinct, f"episode {entry.index}")

    def _source(self, entry: Entry, rows: EpisodeRows) -> FrameSource:
        dataset, count = self._dataset, len(rows.rows)
        if runs_backwards(rows.timestamps):
            raise DataError(f"`timestamp` of episode {entry.index} must ascend with its frames, but does not")
        times = None if counts_frames(rows.timestamps, dataset.fps) else tuple(rows.timestamps.tolist())
        if entry.video_path is None:
            return self._pictures(entry, rows, times)
        path = confined(dataset.root, entry.video_path, "`video_path`")
        _check_part(entry)
        if entry.index in self._parts.faults:
            raise DataError(self._parts.faults[entry.index])
        return VideoStretch(
            path, entry.start, entry.end, count, dataset.fps, times, self._options.tolerance, rows.notes
        )

    def _pictures(self, entry: Entry, rows: EpisodeRows, times: tuple[float, ...] | None) -> FrameSource:
        path = confined(self._dataset.root, rows.path, "`data_path`")
        first, count = int(rows.rows[0]), len(rows.rows)
        notes = rows.notes
        if times is not None and (np.diff(rows.timestamps) == 0).any():
            notes, times = (*notes, "`timestamp` repeats: frames are taken as evenly spaced"), None
        order = None if (np.diff(rows.rows) == 1).all() else tuple(rows.rows.tolist())
        return ParquetPictures(
            self._dataset.root, path, self._camera.key, first, count, self._dataset.fps, order, times, notes
        )


def _check_part(entry: Entry) -> None:
    if not 0 <= entry.start < inf or (entry.end is not None and not entry.start < entry.end < inf):
        raise DataError(
            f"the part of the video that episode {entry.index} shows must begin before it ends, but goes from "
            f"{entry.start:.4f} to {entry.end:.4f} s"
        )


def _missing(dataset: LeRobotDataset, listed: set[int]) -> str:
    count = dataset.total_episodes - len(listed)
    names = [
        str(index)
        for index in range(min(dataset.total_episodes, len(listed) + _MOST_LISTED + 1))
        if index not in listed
    ]
    shown = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    return (
        f"meta/episodes must list the {dataset.total_episodes} episodes that `total_episodes` in meta/info.json "
        f"counts, but lacks {count}: {shown}"
    )
