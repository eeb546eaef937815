"""Which trajectories a model was trained on, so that an evaluation can tell what it has seen.

A checkpoint keeps 8-byte hashes of the trajectories' frame files, relative to the datasets root (`trained_on.npy`, 8 MB
for a million trajectories): enough to find overlap on any machine, without the training data.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from jaxtyping import UInt64

from rfm.errors import DataError
from rfm.vqa.schema import PREFIXES

FILE = "trained_on.npy"
_WAY_OUT = "copy it again, or delete it: then nothing is said of what the model has seen"
_COLUMNS = tuple(f"{prefix}npz_path" for prefix in PREFIXES)


def trajectory_hashes(dataset: Any) -> UInt64[np.ndarray, " k"]:
    """Return the sorted hashes of all trajectories that rows of a VQA dataset show."""
    ids: set[str] = set()
    for name in _COLUMNS:
        if name in dataset.column_names:
            ids |= {value for value in dataset.data.column(name).unique().to_pylist() if value is not None}
    return np.unique(np.array([_hash(name) for name in ids], np.uint64))


def save_hashes(folder: Path, hashes: UInt64[np.ndarray, " k"]) -> None:
    """Write the hashes into a checkpoint."""
    np.save(folder / FILE, hashes, allow_pickle=False)


def load_hashes(folder: Path) -> UInt64[np.ndarray, " k"] | None:
    """Return the hashes in a checkpoint, None where it has none; `DataError` where the file holds something else."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        stored = np.load(file, mmap_mode="r", allow_pickle=False)  # mapped, it can't promise more than the file holds
    except (OSError, EOFError, SyntaxError, TokenError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} must hold hashes of trajectories, but can't be read ({error}); {_WAY_OUT}") from error
    if not isinstance(stored, np.ndarray) or stored.dtype != np.uint64 or stored.ndim != 1:
        what = f"{stored.dtype} of shape {stored.shape}" if isinstance(stored, np.ndarray) else "an archive"
        raise DataError(f"{file} must hold hashes of trajectories, a row of uint64, but holds {what}; {_WAY_OUT}")
    return np.array(stored)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
