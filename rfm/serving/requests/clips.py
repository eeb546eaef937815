"""What a request sends as a clip: an .npy, an .npz or a video, told apart by its first bytes, whatever it is called.

Frames of an .npy are a view of the request, checked by its header. Everything else is decoded in a process of its own
(`rfm.serving.reader`).
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from rfm.errors import DataError
from rfm.scoring.given_frames import Clip, read_clip
from rfm.serving.problems import not_usable
from rfm.serving.reader import Bounds
from rfm.trajectories.npz_header import npy_header

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"


def is_npy(data: memoryview) -> bool:
    """Whether these are the bytes of an .npy."""
    return bytes(data[: len(NPY)]) == NPY


def is_npz(data: memoryview) -> bool:
    """Whether these are the bytes of an .npz."""
    return bytes(data[: len(ZIP)]) == ZIP


def clip_of_npy(data: memoryview, name: str, bounds: Bounds) -> Clip:
    """Return the clip whose frames an .npy holds; Problem where it holds none."""
    try:
        return of_frames(_array(data, name, bounds), name, bounds)
    except DataError as error:
        raise not_usable(str(error)) from None


def of_frames(frames: np.ndarray, name: str, bounds: Bounds) -> Clip:
    """Return the frames as a clip within bounds; DataError where they are none."""
    if frames.ndim == 4:
        count, height, width, _ = frames.shape
        bounds.check_frames(count, name)
        bounds.check_pixels(count, height, width, name)
    return read_clip(frames, name=name)


def numbered(clip: Clip, places: Sequence[int] | None, seconds: Sequence[float] | None) -> Clip:
    """Return the clip with what its sender says of its frames; Problem where that can't be."""
    for field, values in (("frame_numbers", places), ("seconds", seconds)):
        if values is None:
            continue
        if len(values) != len(clip):
            raise not_usable(f"`{field}` must have one for each of {len(clip)} frames, but has {len(values)}")
        if any(later < earlier for earlier, later in pairwise(values)):
            raise not_usable(f"`{field}` must ascend, but do not")
    return Clip(
        clip.frames,
        clip.name,
        clip.places if places is None else np.array(places, np.int64),
        clip.seconds if seconds is None else np.array(seconds, np.float64),
    )


def _array(data: memoryview, name: str, bounds: Bounds) -> np.ndarray:
    stream = io.BytesIO(data[:16384])  # a header has at most 10,000 bytes
    try:
        shape, fortran, dtype = npy_header(stream, name)
    except (OSError, EOFError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{name} must be a readable .npy, but reading it gives: {reason}") from None
    if dtype != np.uint8:
        raise DataError(f"{name} must be uint8, from 0 to 255, but is {dtype.name}")
    if len(shape) == 4:
        bounds.check_frames(shape[0], name)
        bounds.check_pixels(*shape[:3], name)
    values = data[stream.tell() :]
    if min(shape, default=1) < 0 or math.prod(shape) != len(values):
        raise DataError(
            f"{name} must fill its {len(values)} bytes, but declares an array of shape {shape}, which takes "
            f"{math.prod(shape)}"
        )
    return np.frombuffer(values, np.uint8).reshape(shape, order="F" if fortran else "C")
