"""Where the frames of an .npz lie: what has to be known of a file before any frame of it can be read.

In: a path. Out: `Layout`, from the zip's directory and a few small arrays, checked as `rfm.trajectories.npz_header`
checks them. Finding it takes 0.3 ms, as long as reading 16 stored frames, so the last `KEPT` layouts are kept; a file
that changed (by time or size) is looked at again.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from rfm.errors import DataError
from rfm.files.limits import check_block
from rfm.trajectories.npz_header import NpzMember, frames_shape, npz_member, reading, small_array

KEPT = 2048
"""Files; their image offsets take some hundred bytes each."""


@dataclass(frozen=True)
class Layout:
    """Shape (T, H, W, 3) of the frames and the array that holds them, as pixels or as JPEG images in a row."""

    shape: tuple[int, int, int, int]
    member: NpzMember
    offsets: Int64[np.ndarray, "t+1"] | None
    """Where each image starts in the array, and the end of the last; None where frames are pixels."""


def layout(path: Path) -> Layout:
    """Return the layout of a file; DataError says what is wrong with it."""
    try:
        state = path.stat()
    except OSError:
        return _read(path)  # which says what is wrong
    return _kept(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=KEPT)
def _kept(path: Path, changed: int, size: int) -> Layout:
    return _read(path)


def _read(path: Path) -> Layout:
    return reading(path, lambda archive: _layout(archive, path))


def _layout(archive: zipfile.ZipFile, path: Path) -> Layout:
    shape = frames_shape(archive, path)
    if "frames.npy" in archive.namelist():
        return Layout(shape, npz_member(archive, path, "frames"), None)
    member = npz_member(archive, path, "jpeg")
    return Layout(shape, member, _image_offsets(archive, path, member, shape[0]))


def _image_offsets(archive: zipfile.ZipFile, path: Path, member: NpzMember, count: int) -> Int64[np.ndarray, "t+1"]:
    if member.dtype != np.uint8 or len(member.shape) != 1:
        raise DataError(f"`jpeg` in {path} must be uint8 [N], but is {member.dtype} of shape {member.shape}")
    offsets = small_array(archive, path, "offsets", count + 1)
    if offsets[0] != 0 or offsets[-1] != member.shape[0] or (np.diff(offsets) <= 0).any():
        raise DataError(f"`offsets` in {path} must rise from 0 to {member.shape[0]} (bytes in `jpeg`), but do not")
    check_block(int(np.diff(offsets).max()), f"a picture in {path}")
    return offsets
