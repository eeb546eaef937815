"""LeRobot datasets of moving squares, what an ingest of one left, and what can be changed in one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from robot_datasets import edit_table, moving_square

from rfm.frames.reader import read_frames
from rfm.ingest.lerobot.episodes import IngestLeRobotOptions, ingest_lerobot_command
from rfm.trajectories.store import read_columns

FRONT = "observation.images.front"


EPISODES = [moving_square(count, seed) for seed, count in enumerate((5, 9, 4))]


def ingest(root: Path, output: Path, **options: Any) -> int:
    return ingest_lerobot_command(IngestLeRobotOptions(path=str(root), output=str(output), **options))


def rows(output: Path, source: str) -> list[dict[str, Any]]:
    names = ("id", "task", "quality_label", "partial_success", "num_frames", "frames")
    return read_columns(output / source, names).to_pylist()


def frames_of(output: Path, row: dict[str, Any]) -> np.ndarray:
    return read_frames(output, row["frames"], range(row["num_frames"]))


def reasons(output: Path, source: str) -> dict[str, str]:
    path = output / source / "rejected.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def change_episodes(root: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    edit_table(root / "meta" / "episodes" / "chunk-000" / "file-000.parquet", change)


def change_frames(root: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    edit_table(root / "data" / "chunk-000" / "file-000.parquet", change)


def set_value(index: int, name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(table: list[dict[str, Any]]) -> None:
        for row in table:
            if row["episode_index"] == index:
                row[name] = value

    return change
