"""Hashes of trajectory datasets, which tell later whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rfm.trajectories.arrow_files import saved_files
from rfm.trajectories.record import dataset_folder
from rfm.trajectories.store import PROCESSED


def source_hashes(root: Path, keys: Sequence[str]) -> dict[str, str]:
    """Return the sha256 over the Arrow files that hold the rows of each trajectory dataset."""
    return {key: _hash(root / dataset_folder(key)) for key in keys}


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(saved_files(folder / PROCESSED)):  # not what `datasets` caches beside them
        with file.open("rb") as stream:
            while piece := stream.read(1 << 22):
                digest.update(piece)
    return digest.hexdigest()
