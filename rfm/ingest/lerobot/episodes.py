"""`rfm ingest lerobot`: a LeRobot dataset, one row an episode.

The task of an episode is what its frames say (`task_index`), its success `next.success` at its end unless the user
gives another rule. Frames are matched to the recorded timestamps. Only the small columns are read here, one parquet
file at a time; pictures are read when an episode's turn comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64

from rfm.errors import DataError
from rfm.ingest.episode import Episode, FrameSource
from rfm.ingest.labels import LabelOptions
from rfm.ingest.lerobot.dataset import Camera, Entry, LeRobotDataset, read_dataset, read_table
from rfm.ingest.lerobot.frames import ParquetPictures, VideoStretch
from rfm.ingest.options import run_ingest
from rfm.ingest.reading import confined, opened_parquet, rejected
from rfm.ingest.rules import Rules

SUCCESS = "next.success"
"""The one column that means success wherever it is recorded."""

_SAME_TIME = 1e-4
_MOST_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class IngestLeRobotOptions(LabelOptions):
    """Turn a LeRobot dataset (v2.0, v2.1 or v3.0; a folder) into a trajectory dataset."""

    camera: str | None = field(
        default=None, metadata={"help": "Video or image feature, or its last part; needed where there are several"}
    )


def ingest_lerobot_command(options: IngestLeRobotOptions) -> int:
    """Run `rfm ingest lerobot`; status 1 if an episode was rejected."""
    return run_ingest(lerobot_episodes, options)


def lerobot_episodes(options: IngestLeRobotOptions) -> Iterator[Episode]:
    """The episodes in the order of the metadata; faulty ones with their reason."""
    dataset = read_dataset(Path(options.path))
    camera = dataset.camera(options.camera)
    reader = _Reader(dataset, camera, options)
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
    reader.rules.finish()


class _Rows(NamedTuple):
    """The small columns of one parquet file; each episode's rows lie together."""

    first: dict[int, int]
    """Row with which an episode begins."""
    length: dict[int, int]
    timestamps: Float64[np.ndarray, "n"]
    tasks: Sequence[int | None]
    named: dict[str, Sequence[Any]]
    """The columns that the user named."""


class _Columns:
    """What an episode records, a row a frame or in its entry."""

    def __init__(self, dataset: LeRobotDataset, entry: Entry, named: Mapping[str, Sequence[Any]]):
        self._dataset, self._entry, self._named = dataset, entry, named

    def columns(self) -> Collection[str]:
        return [*self._dataset.features, *self._entry.columns]

    def values(self, column: str) -> Sequence[Any] | None:
        if column in self._named:
            return self._named[column]
        return _flat([self._entry.columns[column]]) if column in self._entry.columns else None


class _Reader:
    """Makes episodes of entries; keeps the small columns of the file read last, which the next one likely shares."""

    def __init__(self, dataset: LeRobotDataset, camera: Camera, options: IngestLeRobotOptions):
        self.rules = Rules(options, SUCCESS if SUCCESS in dataset.features else None)
        self._dataset, self._camera, self._options = dataset, camera, options
        self._last: tuple[str, _Rows | DataError] | None = None

    def name(self, entry: Entry) -> str:
        return f"{self._options.source_name}_{entry.index:06d}"

    def episode(self, entry: Entry) -> Episode:
        names = (self.name(entry), str(entry.index))
        for name in names:
            self.rules.meet(name)
        if entry.length < 1:
            raise DataError(f"`length` of episode {entry.index} must be at least 1, but is {entry.length}")
        rows = self._rows(entry)
        if entry.index not in rows.first:
            raise DataError(f"{entry.data_path} must hold the frames of episode {entry.index}, but does not")
        first, count = rows.first[entry.index], rows.length[entry.index]
        if count != entry.length:
            raise DataError(
                f"`length` of episode {entry.index} must be the number of its frames ({count}), but is {entry.length}"
            )
        stretch = slice(first, first + count)
        columns = _Columns(self._dataset, entry, {name: values[stretch] for name, values in rows.named.items()})
        task, label = self.rules.apply(names, f"episode {entry.index}", columns)
        return Episode(
            id=names[0],
            task=task or self._task(entry, rows.tasks[stretch]),
            data_source=self._options.source_name,
            source=self._source(entry, first, rows.timestamps[stretch]),
            quality_label=label.quality,
            partial_success=label.partial_success,
        )

    def _rows(self, entry: Entry) -> _Rows:
        if self._last is None or self._last[0] != entry.data_path:
            try:
                self._last = (entry.data_path, self._read_rows(entry.data_path))
            except DataError as error:
                self._last = (entry.data_path, error)
        found = self._last[1]
        if isinstance(found, DataError):
            raise found
        return found

    def _read_rows(self, data_path: str) -> _Rows:
        path = confined(self._dataset.root, data_path, "`data_path`")
        names = ["episode_index", "timestamp", "task_index"]
        features = self._dataset.features
        own = [name for name in self.rules.named if name in features]
        table = _small_columns(path, list(dict.fromkeys([*names, *own])))
        episodes = _numbers(table, "episode_index", pa.int64(), path).to_numpy()
        starts = np.flatnonzero(np.diff(episodes, prepend=episodes[0] - 1)) if len(episodes) else np.empty(0, int)
        if len(np.unique(episodes[starts])) != len(starts):
            raise DataError(f"{path} must keep the rows of an episode together, but does not")
        counts = np.diff(np.append(starts, len(episodes)))
        names_of_runs = episodes[starts].tolist()
        return _Rows(
            first=dict(zip(names_of_runs, starts.tolist(), strict=True)),
            length=dict(zip(names_of_runs, counts.tolist(), strict=True)),
            timestamps=_numbers(table, "timestamp", pa.float64(), path).to_numpy(),
            tasks=_numbers(table, "task_index", pa.int64(), path, nulls=True).to_pylist(),
            named={name: _flat(table[name].to_pylist()) for name in own},
        )

    def _task(self, entry: Entry, indices: Sequence[int | None]) -> str:
        tasks = self._dataset.tasks
        texts = {tasks.get(-1 if index is None else index, "") for index in set(indices)}
        if not all(text.strip() for text in texts):
            unknown = next(index for index in indices if index is None or not tasks.get(index, "").strip())
            raise DataError(
                f"`task_index` of episode {entry.index} must be one of the {len(tasks)} tasks in meta/, "
                f"but is {unknown}"
            )
        if len(texts) > 1:
            raise DataError(f"episode {entry.index} must have one task, but has {len(texts)}: name it with --task")
        return texts.pop()

    def _source(self, entry: Entry, first: int, timestamps: Float64[np.ndarray, "t"]) -> FrameSource:
        dataset, count = self._dataset, len(timestamps)
        if entry.video_path is None:
            path = confined(dataset.root, entry.data_path, "`data_path`")
            return ParquetPictures(dataset.root, path, self._camera.key, first, count, dataset.fps)
        _check_times(timestamps, entry, dataset.fps)
        regular = np.abs(timestamps - np.arange(count) / dataset.fps).max() < _SAME_TIME
        times = None if regular else tuple(timestamps.tolist())
        path = confined(dataset.root, entry.video_path, "`video_path`")
        return VideoStretch(path, entry.start, count, dataset.fps, times)


def _check_times(timestamps: Float64[np.ndarray, "t"], entry: Entry, fps: float) -> None:
    """Times ascend, and end where the episode's stretch of the video does: beyond it is the next episode."""
    if not np.isfinite(timestamps).all() or timestamps[0] < -_SAME_TIME or (np.diff(timestamps) <= 0).any():
        raise DataError(f"`timestamp` of episode {entry.index} must ascend from 0 on, but does not")
    last = entry.start + timestamps[-1]
    if not entry.start >= 0 or (entry.end is not None and not last <= entry.end - 0.25 / fps):
        raise DataError(
            f"`timestamp` of episode {entry.index} must stay within its part of the video, {entry.start:.4f} to "
            f"{entry.end:.4f} s, but its last frame is at {last:.4f} s"
        )


def _small_columns(path: Path, names: list[str]) -> pa.Table:
    held = opened_parquet(path).schema_arrow.names
    missing = [name for name in names if name not in held]
    if missing:
        raise DataError(f"{path} must have the columns {', '.join(names)}, but lacks {', '.join(missing)}")
    return read_table(path, names)


def _numbers(table: pa.Table, name: str, kind: pa.DataType, path: Path, *, nulls: bool = False) -> pa.ChunkedArray:
    """A column with one number a frame, lists of one included; DataError where it holds anything else."""
    column = table[name]
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        lengths = pc.list_value_length(column)
        column = pc.list_flatten(column) if pc.all(pc.equal(lengths, 1)).as_py() and not column.null_count else column
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    try:
        if not is_number or (column.null_count and not nulls):
            raise pa.ArrowInvalid(f"{column.type} with {column.null_count} nulls")
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise DataError(f"`{name}` in {path} must be one number a frame, but is not: {error}") from error


def _flat(values: Sequence[Any]) -> list[Any]:
    """Values that are recorded as lists of one."""
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]


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
