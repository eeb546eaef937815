"""Where frames lie in files that hold them whole, and how a path that a dataset names is kept within it.

Datasets come from elsewhere: a path in one of their files may lead anywhere. `confined` resolves it, links included,
and refuses what lies outside the dataset's folder. One exception: a dataset in the Hugging Face cache is a folder of
links into the `blobs` beside it, which belong to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Int64, UInt8

from rfm.errors import DataError
from rfm.files.lfs import check_fetched
from rfm.files.limits import MOST_INFLATED, check_inflated, check_rows
from rfm.frames.kept import gathered
from rfm.frames.video.decoding import Video, decode_video
from rfm.ingest.episode import Episode, IngestOptions, Unusable
from rfm.trajectories.arrow_files import BROKEN_TABLE, check_repeats
from rfm.trajectories.record import is_unicode


@dataclass(frozen=True)
class VideoFile:
    """Frames from one video file."""

    path: Path

    def read(self, options: IngestOptions) -> Video:
        """Decode the chosen frames."""
        return decode_video(self.path, options.max_frames, options.sizing)

    def identity(self) -> str:
        """Path, size and time of change."""
        return file_identity(self.path)


def video_of(
    frames: Iterable[UInt8[np.ndarray, "h w 3"]],
    indices: Int64[np.ndarray, "t"],
    total: int,
    fps: float,
    place: str,
    options: IngestOptions,
) -> Video:
    """The chosen frames, brought to the size to keep as they come; DataError, calling the episode `place`."""
    return Video(gathered(frames, len(indices), place, options.sizing), indices, total, fps)


def opened_parquet(path: Path) -> pq.ParquetFile:
    """The file, whose number of rows and unpacked columns its size makes credible; DataError where it can't be read."""
    if not path.is_file():
        raise DataError(f"{path} must exist, but does not")
    check_fetched(path)
    try:
        file = pq.ParquetFile(path)
    except BROKEN_TABLE as error:
        raise DataError(f"{path} must be a readable parquet file, but reading it gives: {error}") from error
    check_rows(file.metadata.num_rows, path.stat().st_size, str(path))
    for group in range(file.metadata.num_row_groups):
        for number in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(number)
            place = f"`{column.path_in_schema}` in {path}"
            check_inflated(column.total_uncompressed_size, column.total_compressed_size, place)
    _check_repeats(path, file_identity(path))
    return file


@lru_cache(maxsize=64)
def _check_repeats(path: Path, _: str) -> None:
    """DataError where texts that lie in a file once, and in many of its rows, would take far more written out.

    Only where that may be, by what the file says of a column, its distinct texts are read.
    """
    file = pq.ParquetFile(path)
    for group in range(file.metadata.num_row_groups):
        held = file.metadata.row_group(group)
        columns = [held.column(number) for number in range(held.num_columns)]
        names = [column.path_in_schema for column in columns if _may_repeat(column)]
        if names:
            distinct = pq.ParquetFile(path, read_dictionary=names)
            check_repeats(path, distinct.read_row_group(group, columns=names))


def _may_repeat(column: pq.ColumnChunkMetaData) -> bool:
    texts = column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page
    return texts and column.num_values * column.total_uncompressed_size > MOST_INFLATED


def file_identity(path: Path) -> str:
    """Path, size and time of change; that it is missing, where it is."""
    try:
        status = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


def rejected(identity: str, data_source: str, error: DataError | str) -> Episode:
    """An episode that is listed for its fault alone."""
    return Episode(id=identity, task="", data_source=data_source, source=Unusable(str(error)))


def confined(root: Path, relative: str, name: str) -> Path:
    """The file `relative` to `root`; DataError, calling it `name`, where it leads out of the dataset's folder."""
    if "\0" in relative or not is_unicode(relative):
        raise DataError(f"{name} must be the name of a file, but no file can be called {relative!a}")
    base = os.path.realpath(root)
    full = os.path.realpath(os.path.join(base, relative))  # noqa: PTH118
    if not any(full.startswith(os.path.join(folder, "")) for folder in (base, *_blobs(base))):  # noqa: PTH118
        raise DataError(f"{name} must lie in the dataset's folder {root}, but `{relative}` leads to {full}")
    return root / relative


def home_of(root: Path) -> Path:
    """The folder that a dataset's files lie in with links resolved: its own, or its part of the Hugging Face cache."""
    base = os.path.realpath(root)
    blobs = _blobs(base)
    return Path(blobs[0]).parent if blobs else Path(base)


def _blobs(base: str) -> list[str]:
    """The folder of a Hugging Face cache that `snapshots/<revision>` links into."""
    return [
        str(folder.parent.parent / "blobs")
        for folder in (Path(base), *Path(base).parents)
        if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("datasets--")
    ]
