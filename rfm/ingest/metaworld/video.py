"""Small H.264 files with PyAV: the same frames give the same bytes.

x264's AVX-512 code does not (two runs differed in most files), hence `asm=AVX2`; several threads need not either. One
key frame a clip, and no self-description of the encoder, which is 0.7 kB of 15 in every file.
"""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from jaxtyping import UInt8

FPS = 10
"""Frames per second of the written files."""
_OPTIONS = {
    "crf": "30",
    "preset": "veryslow",
    "tune": "animation",
    "x264-params": "keyint=250:threads=1:aq-mode=3:asm=AVX2",
}


def write_video(path: Path, frames: UInt8[np.ndarray, "t h w 3"]) -> None:
    """Write RGB frames (even height and width) as an mp4, whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options=_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.codec_context.thread_count = 1
        without_sei = BitStreamFilterContext("filter_units=remove_types=6", stream)
        for picture in [*(av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames), None]:
            for packet in stream.encode(picture):
                container.mux(without_sei.filter(packet))
        container.mux(without_sei.filter(None))
    partial.replace(path)


def read_video(path: Path) -> UInt8[np.ndarray, "t h w 3"]:
    """All RGB frames of a file."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
