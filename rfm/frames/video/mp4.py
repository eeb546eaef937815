"""H.264 files with PyAV: the same frames give the same bytes.

x264's AVX-512 code does not (two runs differed in most files), hence `asm=AVX2`; several threads need not either. One
key frame a clip, and no self-description of the encoder, which is 0.7 kB in every file.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from jaxtyping import UInt8

from rfm.errors import DataError


def write_mp4(path: Path, frames: UInt8[np.ndarray, "t h w 3"], *, fps: float, crf: int) -> None:
    """Write RGB frames as an mp4 of 4:2:0 colour, whole or not at all; `crf` 18 looks lossless, 30 is small.

    Raises `DataError` where height or width is odd: 4:2:0 halves both.
    """
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise DataError(f"frames for {path} must have an even height and width, but have {height} x {width} pixels")
    partial = path.with_suffix(f".{os.getpid()}.partial")
    options = {
        "crf": str(crf),
        "preset": "veryslow",
        "tune": "animation",
        "x264-params": "keyint=250:threads=1:aq-mode=3:asm=AVX2",
    }
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        without_sei = BitStreamFilterContext("filter_units=remove_types=6", stream)
        for picture in [*(av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames), None]:
            for packet in stream.encode(picture):
                container.mux(without_sei.filter(packet))
        container.mux(without_sei.filter(None))
    partial.replace(path)
