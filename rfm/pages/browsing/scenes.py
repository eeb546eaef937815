"""Which scene each frames file shows, by name: the catalog keeps numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rfm.trajectories.record import dataset_folder
from rfm.trajectories.store import read_columns


def scenes_by_path(root: Path, keys: Sequence[str]) -> dict[str, str]:
    """Return the scene of each frames file of the datasets `keys`; files without one are not there."""
    found: dict[str, str] = {}
    for key in keys:
        table = read_columns(root / dataset_folder(key), ("frames", "scene_id"))
        for path, scene in zip(table["frames"].to_pylist(), table["scene_id"].to_pylist(), strict=True):
            if path is not None and (scene or "").strip():
                found[path.removeprefix(f"{root}/")] = scene
    return found
