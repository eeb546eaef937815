"""The frames of one camera of one demonstration, read one at a time: as they are, or decoded from a picture a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from rfm.errors import DataError
from rfm.frames.pictures import decode_picture
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import IngestOptions
from rfm.ingest.hdf5.file import check_stored, member, opened
from rfm.ingest.hdf5.layout import is_encoded, row_bytes
from rfm.ingest.reading import file_identity, video_of


@dataclass(frozen=True)
class Hdf5Pictures:
    """The pictures at `camera` in a file."""

    path: Path
    camera: str
    place: str

    def read(self, options: IngestOptions) -> Video:
        """Read the chosen frames, one at a time."""
        with opened(self.path) as file:
            pictures = checked_pictures(file, self.camera, self.place)
            indices = evenly_spaced(pictures.shape[0], options.max_frames)
            frames = self._frames(pictures, indices)
            return video_of(frames, indices, pictures.shape[0], 0.0, self.place, options)

    def identity(self) -> str:
        """The file, and what of it is read."""
        return f"{file_identity(self.path)} {self.camera}"

    def _frames(self, pictures: Any, indices: Int64[np.ndarray, "t"]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for at in indices.tolist():
            row = pictures[at]
            place = f"`{self.camera}` at step {at} of {self.place}"
            yield decode_picture(row_bytes(row), place) if is_encoded(pictures) else row


def checked_pictures(file: Any, camera: str, place: str) -> Any:
    """The dataset with a camera's pictures, whose type and size can be relied on."""
    pictures = member(file, camera, place)
    name = f"`{camera.rpartition('/')[2]}` of {place}"
    shape = getattr(pictures, "shape", None)
    raw = shape is not None and pictures.dtype == np.uint8 and len(shape) == 4 and shape[3] == 3
    if not raw and not is_encoded(pictures):
        kind = "a group" if shape is None else f"{pictures.dtype} of shape {shape}"
        raise DataError(f"{name} must be uint8 of shape (T, H, W, 3) or a JPEG or PNG a row, but is {kind}")
    if min(pictures.shape) < 1:
        raise DataError(f"{name} must have at least one frame, but has shape {shape}")
    check_stored(pictures, name)
    return pictures
