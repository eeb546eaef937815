"""What an ingest left, read back: texts, the numbers of upright frames, and why something was left out."""

import json
from pathlib import Path
from typing import Any

import pytest
from marked_frames import numbers
from robot_datasets import SHARED

from rfm.cli import run_command
from rfm.frames.reader import read_frames
from rfm.trajectories.store import PROCESSED, read_columns

FOUND = SHARED / "found"
COLUMNS = ("id", "task", "quality_label", "num_frames", "frames")


def run(kind: str, path: Path, output: Path, *flags: str) -> int:
    return run_command(("ingest", kind), [str(path), "--output", str(output), *flags], f"rfm ingest {kind}")


def rows(output: Path) -> list[dict[str, Any]]:
    return [
        row
        for saved in sorted(output.glob(f"*/{PROCESSED}"))
        for row in read_columns(saved.parent, COLUMNS).to_pylist()
    ]


def seen(output: Path) -> dict[str, tuple[str, list[int]]]:
    """By id: the text, and the numbers of the frames, which must all be upright."""
    return {
        row["id"]: (row["task"], numbers(read_frames(output, row["frames"], range(row["num_frames"]))))
        for row in rows(output)
    }


def rejections(output: Path) -> dict[str, str]:
    lines = [line for file in output.glob("*/rejected.jsonl") for line in file.read_text().splitlines()]
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def there(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the input {path.name} is not here")
    return path
