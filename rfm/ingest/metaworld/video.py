"""The films of simulated episodes: small H.264 files, the same bytes for the same frames."""

from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from rfm.frames.video.mp4 import write_mp4

FPS = 10
"""Frames per second of the written files."""
_CRF = 30


def write_video(path: Path, frames: UInt8[np.ndarray, "t h w 3"]) -> None:
    """Write RGB frames (even height and width) as an mp4, whole or not at all."""
    write_mp4(path, frames, fps=FPS, crf=_CRF)


def read_video(path: Path) -> UInt8[np.ndarray, "t h w 3"]:
    """All RGB frames of a file."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
