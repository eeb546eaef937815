"""Where the frames of a LeRobot episode come from: a stretch of a video, or pictures in a parquet file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from rfm.errors import DataError
from rfm.files.documents.regular import MissingFileError, read_bytes
from rfm.files.limits import MOST_PICTURE_BYTES
from rfm.frames.pictures import decode_picture
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import NoFrameNearError, Video, read_frames_at, shown_times, shown_until
from rfm.ingest.episode import IngestOptions
from rfm.ingest.lerobot.timing import matched
from rfm.ingest.reading import confined, file_identity, opened_parquet, video_of
from rfm.trajectories.arrow_files import BROKEN_TABLE

_ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class VideoStretch:
    """The pictures of `count` rows in a video between `start` and `end` (seconds; None: its end)."""

    path: Path
    start: float
    end: float | None
    count: int
    fps: float
    times: tuple[float, ...] | None = None
    """The rows' timestamps, where they do not count frames: 0, 1 / fps, 2 / fps …"""
    tolerance: float | None = None
    """The longest way from a row to its picture in seconds; None: a step."""
    notes: tuple[str, ...] = ()

    def read(self, options: IngestOptions) -> Video:
        """Seek to the first chosen frame and decode up to the last; `lerobot.timing` says which they are."""
        if self.times is None and self._last() <= self._until() - 0.25 / self.fps:
            try:
                return self._counted(options)
            except NoFrameNearError:
                pass
        return self._matched(options)

    def identity(self) -> str:
        """The video, the stretch of it, and how its pictures are found."""
        stretch = (self.start, self.end, self.count, self.fps, self.times, self.tolerance)
        return f"{file_identity(self.path)} {stretch}"

    def _counted(self, options: IngestOptions) -> Video:
        """Row i has its picture at i / fps; a picture that is nearer to another row is none of it."""
        indices = evenly_spaced(self.count, options.max_frames)
        most = 0.499 / self.fps
        near = most if self.tolerance is None else min(most, self.tolerance)
        frames = read_frames_at(self.path, self.start + indices / self.fps, near, options.sizing)
        times = shares(np.arange(self.count, dtype=np.float64))
        notes = (*self.notes, *self._rest())
        return Video(frames, indices, self.count, self.fps, None if times is None else times[indices], notes)

    def _matched(self, options: IngestOptions) -> Video:
        step = 1 / self.fps
        pictures = shown_times(self.path, self.start - step / 4, self._until() - step / 4) - self.start
        rows = np.arange(self.count) * step if self.times is None else np.asarray(self.times)
        found = matched(rows, pictures, step, self.tolerance, self._place())
        chosen = evenly_spaced(len(found.rows), options.max_frames)
        frames = read_frames_at(self.path, self.start + found.seconds[chosen], 0.01 * step, options.sizing)
        times = shares(found.seconds)
        notes = (*self.notes, found.note) if found.note else self.notes
        kept = found.rows[chosen]
        return Video(frames, kept, self.count, self.fps, None if times is None else times[chosen], notes)

    def _last(self) -> float:
        return self.start + (self.count - 1) / self.fps

    def _until(self) -> float:
        return math.inf if self.end is None else self.end

    def _place(self) -> str:
        part = "" if self.end is None else f" from {self.start:.4f} to {self.end:.4f} s"
        return f"video {self.path}{part}"

    def _rest(self) -> Iterator[str]:
        """Say it if pictures follow for which there are no rows."""
        end = shown_until(self.path) if self.end is None else self.end
        over = 0.0 if end is None else end - self._last() - 1 / self.fps
        if over > 1.01 / self.fps:
            yield f"its video goes on for {over:.4g} s after the last row: do they belong together?"


@dataclass(frozen=True)
class ParquetPictures:
    """`count` encoded pictures in `column` of a parquet file, from row `first` on or in the `rows` named."""

    root: Path
    path: Path
    column: str
    first: int
    count: int
    fps: float
    rows: tuple[int, ...] | None = None
    """The row of each frame, where they do not follow each other."""
    times: tuple[float, ...] | None = None
    """When each frame was taken, where not one each 1 / fps."""
    notes: tuple[str, ...] = ()

    def read(self, options: IngestOptions) -> Video:
        """Read the row groups that hold the chosen rows, a few rows at a time."""
        indices = evenly_spaced(self.count, options.max_frames)
        rows = self.first + indices if self.rows is None else np.asarray(self.rows)[indices]
        order = np.argsort(rows)
        frames = (self._decode(row, value) for row, value in self._values(rows[order]))
        place = f"{self.path} from row {rows[order[0]]} on"
        video = video_of(frames, indices, self.count, self.fps, place, options)
        times = shares(np.arange(self.count) / self.fps if self.times is None else np.asarray(self.times))
        in_order = video.frames if self.rows is None else video.frames[np.argsort(order)]
        return replace(video, frames=in_order, times=None if times is None else times[indices], notes=self.notes)

    def identity(self) -> str:
        """The file, and the rows of it."""
        return f"{file_identity(self.path)} {self.column} {self.first} {self.count} {self.rows} {self.times}"

    def _decode(self, row: int, value: Any) -> UInt8[np.ndarray, "h w 3"]:
        place = f"`{self.column}` in row {row} of {self.path}"
        if isinstance(value, dict) and value.get("bytes") is None and value.get("path"):
            file = confined(self.root, value["path"], place)
            try:
                return decode_picture(read_bytes(file, MOST_PICTURE_BYTES), place)
            except MissingFileError as error:
                raise DataError(f"{place} must name a picture, but {file} is not there") from error
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise DataError(f"{place} must be a picture, but is {type(data).__name__}")
        return decode_picture(data, place)

    def _values(self, wanted: Int64[np.ndarray, "k"]) -> Iterator[tuple[int, Any]]:
        """(row, value) for each of the wanted rows, which ascend."""
        try:
            file = opened_parquet(self.path)
            if self.column not in file.schema_arrow.names:
                raise DataError(f"{self.path} must have a column `{self.column}`, but has none")
            sizes = [file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)]
            starts = np.concatenate(([0], np.cumsum(sizes)))
            for group in np.unique(np.searchsorted(starts, wanted, side="right") - 1).tolist():
                row = int(starts[group])
                batches = file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[self.column])
                for batch in batches:
                    inside = wanted[(wanted >= row) & (wanted < row + len(batch))]
                    for at in inside.tolist():
                        yield at, batch.column(0)[at - row].as_py()
                    row += len(batch)
                    if row > wanted[-1]:
                        break
        except BROKEN_TABLE as error:
            raise DataError(f"{self.path} must be a readable parquet file, but reading it gives: {error}") from error


def shares(seconds: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"] | None:
    """Each time, which never falls, as a share of the way from the first to the last; None where there is no way."""
    if len(seconds) < 2 or not seconds[-1] > seconds[0]:
        return None
    return (seconds - seconds[0]) / (seconds[-1] - seconds[0])
