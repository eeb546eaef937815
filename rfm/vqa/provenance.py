"""Which trajectories a model was trained on, so that an evaluation can tell what it has seen.

A checkpoint keeps 8-byte hashes of the trajectories' frame files, relative to the datasets root (`trained_on.npy`, 8 MB
for a million trajectories): enough to find overlap on any machine, without the training data.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt64

FILE = "trained_on.npy"
_COLUMNS = ("npz_path", "first_npz_path", "second_npz_path", "reference_npz_path")


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
    """Return the hashes in a checkpoint, None where it has none."""
    file = folder / FILE
    return np.load(file, allow_pickle=False) if file.is_file() else None


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
