"""Whether a player can be given a video file as it is stored, instead of its frames one by one.

Players differ in what they make of containers, turned pictures and several streams; this takes what none of them
gets wrong: one upright picture stream of a usual codec in an mp4.
"""

from __future__ import annotations

from pathlib import Path

from rfm.errors import DataError
from rfm.frames.video.container import opened

_CODECS = ("h264", "hevc", "av1")
_LARGEST = 1_000_000_000
"""Bytes of a file that may be put into another one as a whole."""


def plays_as_stored(path: Path) -> bool:
    """Whether it does; False also of files that can't be read, for which reading the frames gives the reason."""
    if path.suffix.lower() != ".mp4" or not path.is_file() or path.stat().st_size > _LARGEST:
        return False
    try:
        with opened(path) as (container, stream):
            known = stream.codec_context.name in _CODECS and "mp4" in container.format.name
            if not known or len(container.streams.video) > 1:
                return False
            first = next(container.decode(stream), None)
            return first is not None and "DISPLAYMATRIX" not in first.side_data
    except DataError:
        return False
