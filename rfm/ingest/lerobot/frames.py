"""Where the frames of a LeRobot episode come from: a stretch of a video, or pictures in a parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from rfm.errors import DataError
from rfm.frames.pictures import decode_picture
from rfm.frames.video import Video, evenly_spaced, read_frames_at
from rfm.ingest.episode import IngestOptions
from rfm.ingest.reading import confined, file_identity, opened_parquet, video_of
from rfm.trajectories.arrow_files import BROKEN_TABLE

_ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class VideoStretch:
    """`count` frames of a video from `start` (seconds) on, at `times` after it, or one each 1 / fps."""

    path: Path
    start: float
    count: int
    fps: float
    times: tuple[float, ...] | None = None

    def read(self, options: IngestOptions) -> Video:
        """Seek to the first chosen frame and decode up to the last; each within half a frame of its time."""
        indices = evenly_spaced(self.count, options.max_frames)
        after = indices / self.fps if self.times is None else np.asarray(self.times)[indices]
        frames = read_frames_at(self.path, self.start + after, 0.5 / self.fps, options.sizing)
        return Video(frames, indices, self.count, self.fps)

    def identity(self) -> str:
        """The video and the stretch of it."""
        return f"{file_identity(self.path)} {self.start} {self.count} {self.fps} {self.times}"


@dataclass(frozen=True)
class ParquetPictures:
    """`count` encoded pictures in `column` of a parquet file, from row `first` on."""

    root: Path
    path: Path
    column: str
    first: int
    count: int
    fps: float

    def read(self, options: IngestOptions) -> Video:
        """Read the row groups that hold the chosen rows, a few rows at a time."""
        indices = evenly_spaced(self.count, options.max_frames)
        frames = (self._decode(row, value) for row, value in self._values(self.first + indices))
        return video_of(frames, indices, self.count, self.fps, f"{self.path} from row {self.first} on", options)

    def identity(self) -> str:
        """The file, and the rows of it."""
        return f"{file_identity(self.path)} {self.column} {self.first} {self.count}"

    def _decode(self, row: int, value: Any) -> UInt8[np.ndarray, "h w 3"]:
        place = f"`{self.column}` in row {row} of {self.path}"
        if isinstance(value, dict) and value.get("bytes") is None and value.get("path"):
            file = confined(self.root, value["path"], place)
            if not file.is_file():
                raise DataError(f"{place} must name a picture, but {file} is not there")
            return decode_picture(file.read_bytes(), place)
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
