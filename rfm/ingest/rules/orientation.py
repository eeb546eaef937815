"""Pictures put right that are stored turned or mirrored: renderers that write the lowest row first, cameras hung upside
down.

An orientation names how pictures are *stored*, as `ffmpeg` and Pillow name it: `vflip` has its lowest row first,
`rot90cw` was turned clockwise by a quarter. What puts them right is a view of the array, so frames are turned one by
one within the memory that they have; only quarter turns, which swap height and width, take it twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from rfm.frames.video.decoding import Video
from rfm.ingest.episode import FrameSource, IngestOptions

UPRIGHT = "upright"
VFLIP = "vflip"

_Turn = Callable[[np.ndarray], np.ndarray]

_RIGHT: dict[str, _Turn] = {
    UPRIGHT: lambda frames: frames,
    VFLIP: lambda frames: frames[:, ::-1],
    "hflip": lambda frames: frames[:, :, ::-1],
    "rot180": lambda frames: frames[:, ::-1, ::-1],
    "rot90cw": lambda frames: np.rot90(frames, 1, (1, 2)),
    "rot90ccw": lambda frames: np.rot90(frames, -1, (1, 2)),
    "transpose": lambda frames: frames.swapaxes(1, 2),
    "transverse": lambda frames: frames[:, ::-1, ::-1].swapaxes(1, 2),
}
"""What puts frames (T, H, W, 3) right that are stored so."""

ORIENTATIONS = tuple(_RIGHT)

_SWAPPED = ("rot90cw", "rot90ccw", "transpose", "transverse")


@dataclass(frozen=True)
class Turned:
    """The frames of a source whose pictures are stored in another orientation than upright."""

    source: FrameSource
    orientation: str

    def read(self, options: IngestOptions) -> Video:
        """The frames put right; height and width are those of the upright frames."""
        if self.orientation not in _SWAPPED:
            video = self.source.read(options)
            return replace(video, frames=_turned(video.frames, self.orientation))
        video = self.source.read(replace(options, height=options.width, width=options.height))
        return replace(video, frames=np.ascontiguousarray(_RIGHT[self.orientation](video.frames)))

    def identity(self) -> str:
        """The source, and how it is turned."""
        return f"{self.source.identity()} {self.orientation}"


def put_right(source: FrameSource, orientation: str | None) -> FrameSource:
    """The source itself where its pictures are upright."""
    return source if orientation in (None, UPRIGHT) else Turned(source, str(orientation))


def _turned(frames: UInt8[np.ndarray, "t h w 3"], orientation: str) -> UInt8[np.ndarray, "t h w 3"]:
    """One frame at a time, in place: a second copy of a long episode is memory for nothing."""
    if not frames.flags.writeable:
        return np.ascontiguousarray(_RIGHT[orientation](frames))
    for at in range(len(frames)):
        frames[at] = _RIGHT[orientation](frames[at : at + 1])[0].copy()
    return frames
