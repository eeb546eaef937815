"""Videos and pictures that a row of a parquet or arrow file holds itself, as bytes beside its labels.

`{"bytes": …, "path": …}` or bytes alone are a video, a list of either the pictures of its steps; where there are no
bytes, the path leads to a file of the dataset. Rows are listed without their media; an episode's own is read when its
turn comes, in a parquet file with those of its row group before it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rfm.errors import DataError
from rfm.files.documents.regular import read_bytes
from rfm.files.limits import MOST_PICTURE_BYTES
from rfm.frames.npz.file import npz_frames_shape, read_npz_frames
from rfm.frames.pictures import SIGNATURES, decode_picture
from rfm.frames.reader import VIDEO_SUFFIXES
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import FrameSource, IngestOptions
from rfm.ingest.reading import VideoFile, confined, file_identity, opened_parquet, video_of
from rfm.trajectories.arrow_files import BROKEN_TABLE, check_repeats, opened_stream

MEDIA = ("frames", "frames_video")
"""The columns that hold a video, its path, or pictures."""

_MEDIA_AT_ONCE = 8


@dataclass(frozen=True)
class RowMedia:
    """The media in `column` of row `row` of a file; paths are relative to `base`."""

    file: Path
    row: int
    column: str
    base: Path
    place: str

    def read(self, options: IngestOptions) -> Video:
        """Read the row, and decode its video or the chosen ones of its pictures."""
        value = _value(self.file, self.column, self.row)
        if not isinstance(value, list):
            return self._video(value, options)
        if len(value) == 1 and not _data(value[0]).startswith(SIGNATURES):
            return self._video(value[0], options)
        if not value:
            raise DataError(f"{self.place} must hold pictures, but is an empty list")
        indices = evenly_spaced(len(value), options.max_frames)
        frames = (
            decode_picture(self._bytes(value[at], f"picture {at} of {self.place}"), f"picture {at} of {self.place}")
            for at in indices.tolist()
        )
        return video_of(frames, indices, len(value), 0.0, self.place, options)

    def identity(self) -> str:
        """The file, and the row and column in it."""
        return f"{file_identity(self.file)} {self.row} {self.column}"

    def _video(self, value: Any, options: IngestOptions) -> Video:
        data = _data(value)
        if not data:
            return named_file(_path(value), self.base, self.place).read(options)
        with tempfile.TemporaryDirectory() as folder:  # a container is sought in, so it lies in a file
            path = Path(folder, "video")
            path.write_bytes(data)
            try:
                return VideoFile(path).read(options)
            except DataError as error:
                raise DataError(str(error).replace(f"video {path}", f"the video in {self.place}")) from None

    def _bytes(self, value: Any, place: str) -> bytes:
        data = _data(value)
        if data:
            return data
        named = _path(value)
        if not isinstance(named, str) or not named:
            raise DataError(f"{place} must hold bytes or name a file, but does neither")
        path = confined(self.base, named, place)
        try:
            return read_bytes(path, MOST_PICTURE_BYTES)
        except DataError as error:
            raise DataError(f"{place} must hold bytes or name a picture, but reading that gives: {error}") from error


@dataclass(frozen=True)
class NpzFile:
    """Frames from an .npz."""

    path: Path

    def read(self, options: IngestOptions) -> Video:
        """Read the chosen frames."""
        total = npz_frames_shape(self.path)[0]
        indices = evenly_spaced(total, options.max_frames)
        return Video(read_npz_frames(self.path, indices, options.sizing), indices, total, 0.0)

    def identity(self) -> str:
        """Path, size and time of change."""
        return file_identity(self.path)


def named_file(value: Any, base: Path, place: str) -> FrameSource:
    """The .npz or video that a row names, relative to `base`."""
    if not isinstance(value, str) or not value:
        raise DataError(f"{place} must be a video, its path or a list of pictures, but is {type(value).__name__}")
    path = confined(base, value, place)
    if path.suffix == ".npz":
        return NpzFile(path)
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise DataError(f"{place} must end in .npz or {', '.join(VIDEO_SUFFIXES)}, but is `{value}`")
    return VideoFile(path)


def media_column(file: Path) -> str | None:
    """The first of the columns that may hold bytes; None where none does, or where the file can't be read."""
    try:
        parquet = file.suffix.lower() == ".parquet"
        schema = opened_parquet(file).schema_arrow if parquet else opened_stream(file).schema
        return next((name for name in MEDIA if name in schema.names and may_hold_bytes(schema.field(name).type)), None)
    except (DataError, *BROKEN_TABLE):
        return None


def may_hold_bytes(kind: pa.DataType) -> bool:
    """Whether a column of that type may hold media, or lists of paths, rather than a path."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return may_hold_bytes(kind.value_type) or pa.types.is_string(kind.value_type)
    return pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _path(value: Any) -> Any:
    return value.get("path") if isinstance(value, dict) else value


def _data(value: Any) -> bytes:
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else b""


def _value(file: Path, column: str, row: int) -> Any:
    try:
        batches = (
            _parquet_batches(file, column, row) if file.suffix.lower() == ".parquet" else _arrow_batches(file, column)
        )
        for start, batch in batches:
            if start <= row < start + len(batch):
                return batch.column(0)[row - start].as_py()
    except BROKEN_TABLE as error:
        raise DataError(f"{file} must be a readable arrow or parquet file, but reading it gives: {error}") from error
    raise DataError(f"{file} must have row {row}, but has not")


def _parquet_batches(file: Path, column: str, row: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    parquet = opened_parquet(file)
    start = 0
    for group in range(parquet.metadata.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if start <= row < start + rows:
            for batch in parquet.iter_batches(_MEDIA_AT_ONCE, row_groups=[group], columns=[column]):
                yield start, batch
                start += len(batch)
            return
        start += rows


def _arrow_batches(file: Path, column: str) -> Iterator[tuple[int, pa.RecordBatch]]:
    start = 0
    for batch in opened_stream(file):
        part = batch.select([column])
        part.validate(full=True)
        check_repeats(file, part)
        yield start, part
        start += len(part)
