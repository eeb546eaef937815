"""H.264 files with PyAV: the same frames give the same bytes.

x264's AVX-512 code does not (two runs differed in most files), hence `asm=AVX2`; several threads need not either. One
key frame a clip, and no self-description of the encoder, which is 0.7 kB in every file.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.files.staging import staged_file


def write_mp4(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "h w 3"]],
    *,
    fps: float,
    crf: int,
    preset: str = "veryslow",
    for_web: bool = False,
) -> None:
    """Write RGB frames as an mp4 of 4:2:0 colour, whole or not at all; `crf` 18 looks lossless, 30 is small.

    Frames are taken one by one. `for_web` puts what a player needs first to the front, so that it need not load all.
    Raises `DataError` where height or width is odd: 4:2:0 halves both.
    """
    options = {
        "crf": str(crf),
        "preset": preset,
        "tune": "animation",
        "x264-params": "keyint=250:threads=1:aq-mode=3:asm=AVX2",
    }
    container_options = {"movflags": "+faststart"} if for_web else {}
    pictures = iter(frames)
    first = next(pictures)
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise DataError(f"frames for {path} must have an even height and width, but have {height} x {width} pixels")
    with (
        staged_file(path, durable=False) as staged,
        av.open(str(staged), "w", format="mp4", options=container_options) as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        without_sei = BitStreamFilterContext("filter_units=remove_types=6", stream)
        arrays = (np.ascontiguousarray(picture) for picture in chain([first], pictures))
        shown = (av.VideoFrame.from_ndarray(array, format="rgb24") for array in arrays)
        packets = chain.from_iterable(stream.encode(frame) for frame in chain(shown, [None]))
        for filtered in chain.from_iterable(without_sei.filter(packet) for packet in chain(packets, [None])):
            filtered.time_base = stream.codec_context.time_base  # which PyAV 14 forgets: all at once, it would say
            container.mux(filtered)
