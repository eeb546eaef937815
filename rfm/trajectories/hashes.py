"""Hashes of trajectory datasets, which tell later whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rfm.trajectories.record import dataset_folder


def source_hashes(root: Path, keys: Sequence[str]) -> dict[str, str]:
    """Return the sha256 over the Arrow files of each trajectory dataset."""
    return {key: _hash(root / dataset_folder(key)) for key in keys}


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted((folder / "processed_dataset").glob("*.arrow")):
        with file.open("rb") as stream:
            while piece := stream.read(1 << 22):
                digest.update(piece)
    return digest.hexdigest()
