"""An array of bytes that numpy saved alone (.npy): its header is held against the file before memory is taken."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from rfm.errors import DataError
from rfm.files.lfs import check_fetched
from rfm.files.limits import check_array
from rfm.trajectories.npz_header import npy_header

_BROKEN = (OSError, EOFError, ValueError, struct.error)


def read_npy(path: Path) -> np.ndarray:
    """Return the array, of any shape; DataError where it is none of uint8. Nothing is ever unpickled."""
    if not path.is_file():
        raise DataError(f"frames file {path} must exist, but does not")
    try:
        with path.open("rb") as stream:
            shape, fortran_order, dtype = npy_header(stream, str(path))
            size = path.stat().st_size - stream.tell()
            _check(path, shape, dtype, size)
            values = np.frombuffer(stream.read(size), np.uint8)
            return values.reshape(shape, order="F" if fortran_order else "C")
    except _BROKEN as error:
        check_fetched(path)
        reason = str(error) or type(error).__name__
        raise DataError(f"{path} must be a readable .npy, but reading it gives: {reason}") from error


def _check(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic], size: int) -> None:
    if dtype != np.uint8:
        raise DataError(f"{path} must be uint8, from 0 to 255, but is {dtype.name}")
    if min(shape, default=1) < 0 or math.prod(shape) != size:
        raise DataError(
            f"{path} must fill its {size} bytes, but declares an array of shape {shape}, which takes {math.prod(shape)}"
        )
    check_array(size, str(path), "save smaller frames, or fewer")
