"""A LeRobot dataset to relabel, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from robot_datasets import moving_square

import rfm
from rfm.scoring.relabelling.options import RelabelOptions

LENGTHS = (7, 1, 9)
TASK = "do thing 0"


def films() -> list[np.ndarray]:
    return [moving_square(length, at) for at, length in enumerate(LENGTHS)]


def options(path: Path | str, checkpoint: Path, output: Path, **changes: Any) -> RelabelOptions:
    values = {"path": str(path), "model_path": str(checkpoint), "output": str(output), "device": "cpu"}
    return RelabelOptions(**{**values, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(copy: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted((copy / "data").rglob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def expected(model: rfm.RewardModel) -> list[np.ndarray]:
    return [model.curve(frames, TASK).expected.astype(np.float32) for frames in films()]
