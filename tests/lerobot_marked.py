"""LeRobot datasets of numbered frames: what is shown of them, and what can be changed in one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ingested import FOUND, seen
from marked_frames import frame
from robot_datasets import edit_table

FRONT = "observation.images.front"


PART = f"videos/{FRONT}/"


LEROBOT = FOUND / "lerobot"


CUP = "pick up the cup"


WHOLE = (list(range(10)), list(range(50, 62)), list(range(100, 108)))


def marked(count: int, start: int = 0) -> np.ndarray:
    return np.stack([frame(start + at) for at in range(count)])


def three() -> list[np.ndarray]:
    return [marked(5), marked(9, 50), marked(4, 100)]


SHOWN = [list(range(5)), list(range(50, 59)), list(range(100, 104))]


def shown(output: Path) -> list[list[int]]:
    return [numbers for _, numbers in seen(output).values()]


def edit_meta(root: Path, **changes: Any) -> None:
    """Give all episodes of a v3.0 dataset these values, one an episode."""

    def change(table: list[dict[str, Any]]) -> None:
        for at, row in enumerate(table):
            row.update({name.replace("PART_", PART): values[at] for name, values in changes.items()})

    edit_table(root / "meta" / "episodes" / "chunk-000" / "file-000.parquet", change)


def edit_rows(root: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    for path in sorted((root / "data").rglob("*.parquet")):
        edit_table(path, change)


def v3_video(root: Path, number: int = 0) -> Path:
    return root / "videos" / FRONT / "chunk-000" / f"file-{number:03d}.mp4"


def v2_video(root: Path, episode: int = 0) -> Path:
    return root / "videos" / f"chunk-{episode // 2:03d}" / FRONT / f"episode_{episode:06d}.mp4"
