"""Frames of an .npz that are grey, or have transparency, as RGB: what a dataset never has, but people give to a model.

Grey is the same in each colour; transparency is left out. One frame is in memory at a time, but of an array in Fortran
order all of it.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int, UInt8

from rfm.files.limits import check_array
from rfm.frames.kept import Sizing, Slots
from rfm.frames.npz.file import check_indices, read_exactly
from rfm.trajectories.npz_header import NpzMember, npz_member, reading

CHANNELS = (1, 3, 4)
"""Grey, RGB, RGB with transparency."""


def read_npz_channels(path: Path, indices: Int[np.ndarray, "n"], sizing: Sizing) -> UInt8[np.ndarray, "n h w 3"]:
    """Return the frames at `indices`, which ascend, each brought to its size as it is read; DataError as for RGB."""
    return reading(path, lambda archive: _read(archive, path, indices.tolist(), sizing))


def _read(archive: zipfile.ZipFile, path: Path, indices: Sequence[int], sizing: Sizing) -> UInt8[np.ndarray, "n h w 3"]:
    member = npz_member(archive, path, "frames")
    check_indices(np.array(indices, np.int64), member.shape[0], path)
    _, height, width, _ = member.shape
    slots = Slots(len(indices), height, width, str(path), sizing)
    with archive.open("frames.npy") as stream:
        stream.read(member.header_size)
        for at, frame in enumerate(_chosen(stream, member, indices, path)):
            slots.buffer(at)[...] = frame[..., :3]
            slots.settle(at)
    return slots.frames


def _chosen(
    stream: IO[bytes], member: NpzMember, indices: Sequence[int], path: Path
) -> Iterator[UInt8[np.ndarray, "h w c"]]:
    if member.fortran_order:
        check_array(member.num_bytes, f"{path} (in Fortran order)", "save them in C order")
        whole = np.frombuffer(read_exactly(stream, member.num_bytes), np.uint8).reshape(member.shape, order="F")
        yield from (whole[index] for index in indices)
        return
    size, before = math.prod(member.shape[1:]), 0
    for index in indices:
        for _ in range(before, index):
            read_exactly(stream, size)
        yield np.frombuffer(read_exactly(stream, size), np.uint8).reshape(member.shape[1:])
        before = index + 1
