"""The process that decodes what strangers send, apart from the server and from the model.

In: the path of a file that was received, and bounds. Out: a clip, or what is wrong with the file. What a file declares
is held against the bounds before it is decoded. Whatever decoding does nevertheless is done in a process whose memory
is bounded, and which is ended when it takes too long.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfm.errors import DataError
from rfm.files.limits import within_memory
from rfm.frames.npz.channels import CHANNELS
from rfm.frames.npz.file import npz_frames_shape
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.container import opened
from rfm.ingest.episode import IngestOptions
from rfm.scoring.given_frames import Clip, read_clip
from rfm.serving.questions import Fault

NPZ_SUFFIX = ".npz"
_MICROSECONDS = 1e6
_SIZE = Path("/proc/self/statm")


@dataclass(frozen=True)
class Bounds:
    """What a clip may be."""

    frames: int
    """Of the recording."""
    pixels: int
    """Of all frames that are kept of it, as recorded."""
    seconds: float
    """Of the recording."""

    def check_frames(self, count: int, name: str) -> None:
        """Raise DataError where a recording has too many frames."""
        if count > self.frames:
            raise DataError(f"{name} must have at most {self.frames} frames, but has {count}")

    def check_pixels(self, count: int, height: int, width: int, name: str) -> None:
        """Raise DataError where the frames to keep have too many pixels."""
        if count * height * width > self.pixels:
            raise DataError(
                f"{name} must have at most {self.pixels} pixels in all frames that are kept of it, but {count} of "
                f"{width} x {height} have {count * height * width}; send smaller frames, or fewer"
            )


@dataclass(frozen=True)
class Received:
    """A file to be read; errors call it `name`."""

    path: Path
    name: str
    bounds: Bounds
    options: IngestOptions


def begin(most_memory: int) -> tuple[None, Any]:
    """Bound this process to so many bytes more than it has, and read files."""
    if _SIZE.exists():  # other systems than Linux neither say nor bound it
        size = int(_SIZE.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + most_memory, resource.RLIM_INFINITY))
    return None, read


def read(file: Received) -> Clip | Fault:
    """Return the clip, named as its sender knows it."""
    try:
        with within_memory(file.name):
            _check(file)
            clip = read_clip(file.path, file.options)
            return Clip(clip.frames, file.name, clip.places, clip.seconds)
    except DataError as error:
        return Fault(str(error).replace(f"video {file.path}", file.name).replace(str(file.path), file.name), ours=False)


def _check(file: Received) -> None:
    if file.path.suffix == NPZ_SUFFIX:
        count, height, width, _ = npz_frames_shape(file.path, CHANNELS)
        file.bounds.check_frames(count, file.name)
    else:
        count, height, width = _video_shape(file)
    kept = len(evenly_spaced(count, file.options.max_frames))
    file.bounds.check_pixels(kept, height, width, file.name)


def _video_shape(file: Received) -> tuple[int, int, int]:
    """Return the number of frames by packets, and their size, without decoding any."""
    with opened(file.path) as (container, stream):
        length = float(stream.duration * stream.time_base) if stream.duration else 0.0
        seconds = max(length, (container.duration or 0) / _MICROSECONDS)
        if seconds > file.bounds.seconds:
            raise DataError(f"{file.name} must last at most {file.bounds.seconds:.0f} seconds, but lasts {seconds:.0f}")
        file.bounds.check_frames(stream.frames, file.name)
        count = 0
        for packet in container.demux(stream):
            count += bool(packet.size)
            if count > file.bounds.frames:
                file.bounds.check_frames(count, file.name)
        return max(count, 1), int(stream.height), int(stream.width)
