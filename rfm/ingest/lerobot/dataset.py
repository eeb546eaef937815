"""The description of a LeRobot dataset, formats v2.0, v2.1 and v3.0: what lies where, without a frame.

    v2.0, v2.1   meta/tasks.jsonl, meta/episodes.jsonl; a parquet and a video an episode, in chunks of `chunks_size`
    v3.0         meta/tasks.parquet, meta/episodes/chunk-*/file-*.parquet; many episodes in one parquet and one video

Places of files are templates in `meta/info.json`. Source: `lerobot/datasets` of huggingface/lerobot, and a dataset that
lerobot 0.6.1 wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import json_lines, named_kind, read_json_object
from rfm.ingest.listing.finding import find_files
from rfm.ingest.reading import confined, opened_parquet
from rfm.trajectories.arrow_files import BROKEN_TABLE

VERSIONS = ("v2.0", "v2.1", "v3.0")

_FIELD = re.compile(r"\{(\w+)(?::0?(\d)d)?\}")
_STATISTICS = "stats/"


@dataclass(frozen=True)
class Camera:
    """A feature that holds pictures: `video` files, or `image`s in the parquet."""

    key: str
    kind: str
    size: str

    def __str__(self) -> str:
        return f"{self.key} ({self.kind}{self.size})"


@dataclass(frozen=True)
class Entry:
    """An episode as the metadata list it; `start` and `end` are its seconds within the video."""

    index: int
    length: int
    data_path: str
    video_path: str | None
    start: float = 0.0
    end: float | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Everything else that is recorded of the episode."""


@dataclass(frozen=True)
class LeRobotDataset:
    """A dataset's `info.json`, checked, and its tasks."""

    root: Path
    version: str
    fps: float
    total_episodes: int
    chunks_size: int
    data_path: str
    video_path: str
    features: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[int, str]

    def cameras(self) -> list[Camera]:
        """The features with pictures, depth maps aside."""
        return [
            Camera(key, feature["dtype"], _size(feature))
            for key, feature in self.features.items()
            if feature.get("dtype") in ("video", "image") and not _is_depth(feature)
        ]

    def camera(self, name: str | None) -> Camera:
        """The camera called `name`, or by its last part; the only one if there is one. ConfigError lists them all."""
        cameras = self.cameras()
        if not cameras:
            raise ConfigError(f"{self.root} must have a video or image feature, but has {', '.join(self.features)}")
        if name is None and len(cameras) == 1:
            return cameras[0]
        listed = ", ".join(map(str, cameras))
        if name is None:
            raise ConfigError(f"--camera must name one of {listed}, but is not given")
        found = [camera for camera in cameras if camera.key == name]
        found = found or [camera for camera in cameras if camera.key.rpartition(".")[2] == name]
        if len(found) != 1:
            raise ConfigError(f"--camera must name one of {listed}, but is `{name}`")
        return found[0]

    def entries(self, camera: Camera) -> Iterator[Entry | DataError]:
        """The episodes in the order of the metadata; a DataError in place of one that can't be understood."""
        listed = _v3_rows(self.root) if self.version == "v3.0" else _json_rows(self.root / "meta" / "episodes.jsonl")
        for row in listed:
            if isinstance(row, DataError):
                yield row
                continue
            try:
                yield self._entry(row, camera)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                place = f"episode {row.get('episode_index')}"
                yield DataError(f"{place} must be described in meta/, but reading that gives: {error!r}")

    def files(self, camera: Camera | None = None) -> list[str]:
        """The files below the dataset's folder that `video_path` means for `camera`, or `data_path` without one."""
        template = self.video_path if camera is not None else self.data_path
        parts = _FIELD.split(template)
        literals, fields = parts[::3], parts[1::3]
        key = {"video_key": re.escape(camera.key)} if camera is not None else {}
        wanted = [key.get(field, r"\d+") for field in fields]
        pattern = re.compile("".join(a + b for a, b in zip(map(re.escape, literals), [*wanted, ""], strict=True)))
        found = find_files(self.root, lambda last: last.endswith(PurePosixPath(template).suffix), lambda last: last)
        return [one.name for one in found if not one.fault and pattern.fullmatch(one.name)]

    def _entry(self, row: dict[str, Any], camera: Camera) -> Entry:
        index, length = int(row["episode_index"]), int(row["length"])
        values = {"episode_index": index, "episode_chunk": index // self.chunks_size, "video_key": camera.key}
        video_values: dict[str, Any] = dict(values)
        start, end = 0.0, None
        if self.version == "v3.0":
            values |= {"chunk_index": int(row["data/chunk_index"]), "file_index": int(row["data/file_index"])}
            if camera.kind == "video":
                of = f"videos/{camera.key}/"
                video_values |= {name: int(row[f"{of}{name}"]) for name in ("chunk_index", "file_index")}
                start, end = float(row[f"{of}from_timestamp"]), float(row[f"{of}to_timestamp"])
        video = fill(self.video_path, video_values) if camera.kind == "video" else None
        return Entry(index, length, fill(self.data_path, values), video, start, end, row)


def read_dataset(root: Path) -> LeRobotDataset:
    """Read `meta/info.json` and the tasks; an RfmError where this is no LeRobot dataset of a known format."""
    info = _read_info(root)
    version = str(info.get("codebase_version"))
    if version not in VERSIONS:
        raise ConfigError(
            f"`codebase_version` in {root}/meta/info.json must be one of {', '.join(VERSIONS)}, but is {version}: "
            "convert the dataset with the scripts of the lerobot package"
        )
    fps, chunks_size = info.get("fps"), info.get("chunks_size", 1000)
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps < 10_000:
        raise DataError(f"`fps` in {root}/meta/info.json must be a number above 0, but is {fps}")
    if not isinstance(chunks_size, int) or chunks_size < 1:
        raise DataError(f"`chunks_size` in {root}/meta/info.json must be at least 1, but is {chunks_size}")
    total = info.get("total_episodes") or 0
    if isinstance(total, bool) or not isinstance(total, int) or total < 0:
        raise DataError(f"`total_episodes` in {root}/meta/info.json must be a whole number from 0 on, but is {total!a}")
    features = info.get("features")
    if not isinstance(features, dict) or not all(isinstance(feature, dict) for feature in features.values()):
        raise DataError(f"`features` in {root}/meta/info.json must describe the columns, but does not")
    return LeRobotDataset(
        root=root,
        version=version,
        fps=float(fps),
        total_episodes=total,
        chunks_size=chunks_size,
        data_path=str(info.get("data_path")),
        video_path=str(info.get("video_path")),
        features=features,
        tasks=_tasks(root, version),
    )


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The template with its fields replaced; unlike `str.format`, it can reach nothing but `values`."""

    def value(match: re.Match[str]) -> str:
        name, width = match.groups()
        if name not in values:
            raise DataError(f"the template `{template}` must use {', '.join(values)}, but uses {name}")
        return str(values[name]).zfill(int(width)) if width else str(values[name])

    return _FIELD.sub(value, template)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The parquet file, or some columns of it; DataError where it can't be read."""
    try:
        return opened_parquet(path).read(columns=columns)
    except BROKEN_TABLE as error:
        raise DataError(f"{path} must be a readable parquet file, but reading it gives: {error}") from error


def _read_info(root: Path) -> dict[str, Any]:
    path = root / "meta" / "info.json"
    if not path.is_file():
        raise ConfigError(f"a LeRobot dataset must have a meta/info.json, but {path} is not there")
    return read_json_object(path)


def _tasks(root: Path, version: str) -> dict[int, str]:
    if version != "v3.0":
        path = root / "meta" / "tasks.jsonl"
        rows = [row for row in _json_rows(path) if isinstance(row, dict)]
    else:
        path = root / "meta" / "tasks.parquet"
        table = read_table(path)
        texts = next((name for name in ("task", "__index_level_0__") if name in table.column_names), None)
        if texts is None or "task_index" not in table.column_names:
            raise DataError(
                f"{path} must have the columns task and task_index, but has {', '.join(table.column_names)}"
            )
        rows = [{"task": row[texts], "task_index": row["task_index"]} for row in table.to_pylist()]
    try:
        return {int(row["task_index"]): str(row["task"]) for row in rows}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path} must give each task a task_index, but reading that gives: {error!r}") from error


def _json_rows(path: Path) -> Iterator[dict[str, Any] | DataError]:
    if not path.is_file():
        raise DataError(f"{path} must exist, but does not")
    for number, row, fault in json_lines(path):
        if fault is None and isinstance(row, dict):
            yield row
        else:
            yield DataError(f"{path} line {number} {fault or f'must be a JSON object, but is {named_kind(row)}'}")


def _v3_rows(root: Path) -> Iterator[dict[str, Any] | DataError]:
    files = sorted((root / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
    if not files:
        raise DataError(f"{root}/meta/episodes must list the episodes in chunk-*/file-*.parquet, but has none")
    for file in files:
        try:
            path = confined(root, str(file.relative_to(root)), "meta/episodes")
            held = opened_parquet(path).schema_arrow.names
            rows = read_table(path, [name for name in held if not name.startswith(_STATISTICS)]).to_pylist()
        except DataError as error:
            yield error
            continue
        yield from rows


def _is_depth(feature: Mapping[str, Any]) -> bool:
    info = feature.get("info") or feature.get("video_info")
    return isinstance(info, dict) and bool(info.get("is_depth_map") or info.get("video.is_depth_map"))


def _size(feature: Mapping[str, Any]) -> str:
    """Height x width, whichever way round `shape` is: `names` tell, else the place of the channels."""
    shape, names = feature.get("shape"), feature.get("names")
    if not isinstance(shape, (list, tuple)) or len(shape) != 3:
        return ""
    named = [str(name) for name in names] if isinstance(names, (list, tuple)) and len(names) == 3 else []
    channels_first = named[0] in ("channel", "channels", "rgb", "c") if named else shape[0] in (1, 3)
    height, width = shape[1:] if channels_first else shape[:2]
    return f", {height} x {width}"
