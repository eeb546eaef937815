"""The recordings that lie in a folder: video files, and folders of numbered pictures, each an episode."""

from __future__ import annotations

import hashlib
import logging
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.files.documents.regular import LARGE, read_bytes
from rfm.frames.pictures import decode_picture
from rfm.frames.reader import VIDEO_SUFFIXES
from rfm.frames.series import is_picture, numbered_pictures
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import FrameSource, IngestOptions
from rfm.ingest.listing.finding import find_files
from rfm.ingest.reading import VideoFile, file_identity, video_of

logger = logging.getLogger(__name__)

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")


@dataclass(frozen=True)
class PictureFolder:
    """Frames from a folder of numbered pictures."""

    path: Path

    def read(self, options: IngestOptions) -> Video:
        """Decode the chosen pictures."""
        series = numbered_pictures(self.path)
        indices = evenly_spaced(len(series.paths), options.max_frames)
        pictures = self._decoded([series.paths[at] for at in indices.tolist()], options)
        video = video_of(pictures, indices, len(series.paths), 0.0, f"folder {self.path}", options)
        return replace(video, notes=(series.note,) if series.note else ())

    def identity(self) -> str:
        """The folder, and its pictures with their sizes and times of change."""
        files = sorted(file_identity(path) for path in self.path.glob("*") if is_picture(path.name))
        return f"{self.path.resolve()} {hashlib.sha256(repr(files).encode()).hexdigest()}"

    def _decoded(self, paths: list[Path], options: IngestOptions) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        first: tuple[int, ...] | None = None
        for path in paths:
            picture = decode_picture(read_bytes(path, LARGE), str(path), _FORMATS)
            first = first or picture.shape
            if options.sizing(*picture.shape[:2]) != options.sizing(*first[:2]):
                sizes = [f"{width} x {height}" for height, width, *_ in (first, picture.shape)]
                raise DataError(
                    f"the pictures in {self.path} must have one size, but `{paths[0].name}` has {sizes[0]} pixels and "
                    f"`{path.name}` {sizes[1]}: give --height and --width"
                )
            yield picture


def recording(path: Path) -> FrameSource:
    """The source of a video file's frames, or of a folder's."""
    return PictureFolder(path) if path.is_dir() else VideoFile(path)


def is_video(name: str) -> bool:
    """Whether a file of this name is taken for a video; hidden ones are none."""
    return name.lower().endswith(VIDEO_SUFFIXES) and not name.startswith(".")


def recordings_below(folder: Path) -> list[str]:
    """The paths, from `folder` on and in natural order, of videos and of folders that hold pictures and no video.

    The folder itself is `.` where pictures lie directly in it. DataError for a file that can't be opened.
    """
    found: dict[str, bool] = {}
    for file in find_files(folder, lambda name: is_video(name) or is_picture(name)):
        if file.fault:
            raise DataError(file.fault)
        path = PurePosixPath(file.path.relative_to(folder).as_posix())
        found[str(path if is_video(path.name) else path.parent)] = is_video(path.name)
    with_videos = {str(PurePosixPath(path).parent) for path, video in found.items() if video}
    beside = [path for path, video in found.items() if not video and path in with_videos]
    if beside:
        logger.warning("pictures that lie beside videos are left out: those in %s", ", ".join(beside))
    return [path for path in found if path not in beside]


def located(folder: Path, relative: str) -> str | None:
    """The path below `folder` as it is spelt on the disk; None where there is none.

    Accents may be one letter or two (Unicode NFC and NFD): Mac file systems hand out the one, lists hold the other.
    """
    place = PurePosixPath()
    for part in PurePosixPath(relative).parts:
        if not os.path.exists(folder / place / part):  # noqa: PTH110 - Path.exists fails for names that are too long
            alike = [name for name in _names(folder / place) if _composed(name) == _composed(part)]
            if len(alike) != 1:
                return None
            part = alike[0]
        place /= part
    return str(place)


def holds_pictures(folder: Path) -> bool:
    """Whether pictures lie directly in the folder."""
    return any(is_picture(name) for name in _names(folder))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names alone
    except OSError:
        return []


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
