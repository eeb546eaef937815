"""Trajectory datasets of films that look unlike each other, and copies of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rfm.frames.npz.file import write_npz
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset


def film(seed: int, frames: int = 8, size: int = 64) -> np.ndarray:
    """Soft random pictures of little colour, others in each frame; uint8 (frames, size, size, 3)."""
    rng = np.random.default_rng(seed)
    grey, tint = rng.integers(20, 200, (frames, 6, 6, 1)), rng.integers(0, 30, (frames, 6, 6, 3))
    cells = (grey + tint).astype(np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(cell).resize((size, size), Image.Resampling.BICUBIC)) for cell in cells]
    )


def as_jpeg(pictures: np.ndarray, quality: int) -> np.ndarray:
    """The pictures with the noise of a JPEG."""
    return np.stack([_through_jpeg(picture, quality) for picture in pictures])


def episode(root: Path, key: str, name: str, pictures: np.ndarray | None = None, **values: Any) -> Trajectory:
    """A successful episode of `key`, its frames written; `values` are other fields of the row."""
    path = Path(key) / "frames" / f"trajectory_{name}.npz"
    pictures = film(sum(map(ord, key + name))) if pictures is None else pictures
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    write_npz(root / path, pictures)
    row: dict[str, Any] = {"task": "do it", "data_source": key, "quality_label": "successful", **values}
    return Trajectory(id=name, frames=path.as_posix(), frames_shape=pictures.shape, num_frames=len(pictures), **row)


def write_episodes(root: Path, key: str, rows: list[Trajectory]) -> Path:
    """Save the rows as dataset `key` and return the root."""
    write_processed_dataset(root / key, rows)
    return root


def _through_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))
