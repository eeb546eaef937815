"""How large what is read may be: the bounds that hold before memory is taken, one place for files of every format.

What a file declares (pixels, frames, bytes) is no reason to take memory: whoever reads one holds its declaration
against these first. They are far above what recordings have, and low enough that a reader stays within some GB.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rfm.errors import DataError

LONGEST_SIDE = 2**14
"""Pixels of a side; what is longer is no frame but a slip of the pen."""
MOST_PIXELS = 2**26
"""Pixels of a frame (8192 x 8192)."""
MOST_FRAMES = 2**22
"""Frames in a file (38 hours at 30 a second)."""
MOST_KEPT = 2**30
"""Bytes of the frames that are kept of an episode, or shown of a clip: 1 GiB, 64 frames of 1920 x 1080 two and a half
times."""
MOST_PICTURE_BYTES = 2**27
"""Bytes of an encoded picture, and of a block that is read or inflated at once."""
MOST_INFLATED = 2**28
"""Bytes that a compressed column may always have, beside a hundred times its size in the file."""
MOST_SHOWN = 2**12
"""Frames of one clip of a question."""
MOST_SHOWN_PIXELS = 2**27
"""Pixels of a clip in the size that a model is shown it in: five times what Qwen3-VL takes by itself."""
LONGEST_TEXT = 2**14
"""Characters of a prompt."""

SMALLER = "bring the frames down by --shortest_side, or keep fewer by --max_frames"
"""The way out for who ingests recordings."""


def check_pixels(height: int, width: int, place: str) -> None:
    """DataError, calling the frame `place`, where it has more than MOST_PIXELS."""
    if height * width > MOST_PIXELS:
        raise DataError(f"{place} must have at most {MOST_PIXELS} pixels a frame, but declares {width} x {height}")


def check_kept(count: int, height: int, width: int, place: str, way_out: str = SMALLER) -> None:
    """DataError where `count` RGB frames of this size take more than MOST_KEPT bytes."""
    size = count * height * width * 3
    if size > MOST_KEPT:
        raise DataError(
            f"the frames read of {place} must take at most {MOST_KEPT} bytes, but {count} of {width} x {height} take "
            f"{size}: {way_out}"
        )


def check_array(size: int, place: str, way_out: str) -> None:
    """DataError where an array that is read as a whole takes more than MOST_KEPT bytes."""
    if size > MOST_KEPT:
        raise DataError(f"the frames of {place} must take at most {MOST_KEPT} bytes, but take {size}: {way_out}")


def check_count(count: int, place: str) -> None:
    """DataError where a file has more than MOST_FRAMES frames."""
    if count > MOST_FRAMES:
        raise DataError(f"{place} must have at most {MOST_FRAMES} frames, but declares {count}")


def check_block(size: int, place: str) -> None:
    """DataError where what has to be read at once takes more than MOST_PICTURE_BYTES."""
    if size > MOST_PICTURE_BYTES:
        raise DataError(f"{place} must take at most {MOST_PICTURE_BYTES} bytes, but takes {size}")


def check_shown(count: int, height: int, width: int, place: str) -> None:
    """DataError where a clip has more pixels, in the size that a model is shown it in, than a question may have."""
    if count * height * width > MOST_SHOWN_PIXELS:
        raise DataError(
            f"a clip of {place} must be shown in at most {MOST_SHOWN_PIXELS} pixels, but {count} frames of {width} x "
            f"{height} have {count * height * width}: take smaller data.resized_height and data.resized_width"
        )


def check_inflated(size: int, compressed: int, place: str) -> None:
    """DataError where `size` bytes are said to come out of so few that they can be no recording."""
    most = MOST_INFLATED + 100 * compressed
    if size > most:
        raise DataError(f"{place} must take at most {most} bytes unpacked ({compressed} packed), but takes {size}")


def check_rows(count: int, size: int, place: str) -> None:
    """DataError where a file of `size` bytes says it has more rows than that makes credible.

    Constant columns take no space in a file, but do in memory: rows of recordings are not all alike.
    """
    most = 1_000_000 + 10 * size
    if count > most:
        raise DataError(f"{place} must have at most {most} rows for its size, but declares {count}")


@contextmanager
def within_memory(place: str) -> Iterator[None]:
    """Raise a MemoryError within the block as a DataError: what is too large for this machine costs its row alone."""
    try:
        yield
    except MemoryError as error:
        raise DataError(f"{place} must fit in this machine's memory, but there is too little of it") from error
