"""Generated datasets to corrupt: one fault at a time, everything else left as the generator made it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, load_from_disk

from rfm.frames.npz.file import write_npz

Row = dict[str, Any]


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[list[Row]], list[Row]] = list,
    *,
    config: bool = True,
    drop: tuple[str, ...] = (),
) -> Path:
    """Save a dataset's rows as `change` leaves them, without the columns `drop`, with or without its configuration."""
    saved = load_from_disk(str(source))
    rows = change(saved.to_list())
    Dataset.from_list(rows, features=saved.features).remove_columns(list(drop)).save_to_disk(str(target))
    if config:
        shutil.copy(source / "generation_config.json", target)
    return target


def edit_config(path: Path, **changes: Any) -> Path:
    """Change keys of a dataset's generation configuration."""
    file = path / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return path


def paint(root: Path, key: str, seed: int) -> None:
    """Give each episode of a toy world a background of its own, so that no two look alike."""
    rng = np.random.default_rng(seed)
    for file in sorted((root / key / "frames").iterdir()):
        with np.load(file) as archive:
            frames = archive["frames"]
        wall = rng.integers(30, 140, (4, 4, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        write_npz(file, np.where(frames == 40, wall, frames))


def is_pair(row: Row) -> bool:
    return row["sample_type"] != "progress"


def flipped(row: Row) -> Row:
    return row | {"answer": {"1": "2", "2": "1"}[row["answer"]], "chosen_is_first": not row["chosen_is_first"]}


def rejected(row: Row) -> str:
    """The prefix of the clip that is not chosen."""
    return "second_" if row["answer"] == "1" else "first_"


def shown(row: Row, prefix: str, frames: list[int]) -> Row:
    """The row with other frames in a clip."""
    shape = [len(frames), *row[f"{prefix}frames_shape"][1:]]
    return row | {f"{prefix}frame_indices": frames, f"{prefix}frames_shape": shape}


def coin_flips(rows: list[Row]) -> list[Row]:
    coin = np.random.default_rng(0).random(len(rows)) < 0.5
    return [flipped(row) if flip and is_pair(row) else row for row, flip in zip(rows, coin, strict=True)]
