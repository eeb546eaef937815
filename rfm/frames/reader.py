"""Frames named by a row: a path relative to the datasets root, and frame indices.

The path is confined to the root, links followed: a dataset from elsewhere cannot make a trainer read other files. How
many frames it names, and how large they are, is bounded before memory is taken.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from rfm.errors import DataError
from rfm.files.limits import within_memory
from rfm.frames.npz.file import read_npz_frames
from rfm.frames.resize import resize_frames

__all__ = ["frames_file", "read_frames", "resize_frames"]

VIDEO_SUFFIXES = (".mp4", ".webm", ".mov", ".gif", ".mkv", ".avi", ".m4v")
"""Files that are decoded as videos."""
_SMALLER = "ingest the recordings with --shortest_side, or show fewer frames"


def read_frames(
    root: Path, relative_path: str, indices: Sequence[int] | Int[np.ndarray, "n"]
) -> UInt8[np.ndarray, "n h w 3"]:
    """The frames at `indices` of an .npz or a video under `root`; DataError names what is wrong."""
    path = frames_file(root, relative_path)
    suffix = Path(relative_path).suffix.lower()  # a link may lead to a name without one, as in the Hugging Face cache
    with within_memory(f"the frames of {relative_path}"):
        if suffix == ".npz":
            return read_npz_frames(path, indices, way_out=_SMALLER)
        if suffix in VIDEO_SUFFIXES:
            from rfm.frames.video.decoding import read_video_frames  # 40 MB of libraries, which .npz files need not

            return read_video_frames(path, indices)
    known = ", ".join((".npz", *VIDEO_SUFFIXES))
    raise DataError(f"frames file `{relative_path}` must end in one of {known}, but ends in `{suffix}`")


def frames_file(root: Path, relative_path: str) -> Path:
    """The file, which must lie under `root` once links and `..` are resolved."""
    if "\0" in relative_path:
        raise DataError(f"frames path {relative_path!r} must be the name of a file, but no file can have it")
    base = os.path.realpath(root)
    full = os.path.realpath(os.path.join(base, relative_path))  # noqa: PTH118
    if not full.startswith(os.path.join(base, "")):  # noqa: PTH118
        raise DataError(
            f"frames path `{relative_path}` must lie under the datasets root {root}, but leads to {full}: "
            "name the root that holds it"
        )
    return Path(full)
