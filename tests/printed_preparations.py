"""What the reader of a page has already: videos, trajectories, questions, a trained model; each made once."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import rfm
from rfm.ingest.bundled import bundled_videos
from rfm.ingest.sources.videos import ingest_videos
from rfm.model.shipped import resolved

SMALL = ["data.max_frames=4"]


def _video(name: str) -> Callable[[Path], None]:
    def copy(place: Path) -> None:
        shutil.copy(bundled_videos() / "videos" / f"{name}.mp4", place)

    return copy


def _demonstrations(folder: Path) -> None:
    """Of one task, 24 videos and their list."""
    folder.mkdir()
    rows = [json.loads(line) for line in (bundled_videos() / "manifest.jsonl").read_text().splitlines()]
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "task", "quality_label"])
        for row in [row for row in rows if row["task_id"] == "drawer-open"][:24]:
            shutil.copy(bundled_videos() / row["path"], folder)
            table.writerow([Path(row["path"]).name, row["task"], row["quality_label"]])


def _questions(folder: Path) -> None:
    rfm.generate(folder / "train", num_samples=48, num_workers=1, config_overrides=SMALL)
    for side in ("held_out", "test"):
        rfm.generate(folder / side, num_samples=24, num_workers=1, partition="eval", config_overrides=SMALL)


def _trained(folder: Path) -> None:
    shutil.copytree(resolved("metaworld-small"), folder / "run" / "final")


def _trajectories(folder: Path) -> None:
    with TemporaryDirectory() as scratch:
        _demonstrations(Path(scratch) / "my_demos")
        ingest_videos(Path(scratch) / "my_demos", folder, num_workers=1)


PREPARED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "attempt.mp4": ("attempt.mp4", _video("metaworld_drawer_open_036")),
    "another.mp4": ("another.mp4", _video("metaworld_drawer_open_037")),
    "my_demos": ("my_demos", _demonstrations),
    "trajectories": ("trajectories", _trajectories),
    "questions": ("datasets", _questions),
    "run": ("outputs", _trained),
}
"""By the words of `<!-- given: … -->`: the name it gets, and what makes it there."""
