"""The tables of a LeRobot dataset's frames, and what their rows must be for progress to stand beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from rfm.errors import DataError

Counts = Mapping[int, int]
"""Frames of each episode that is asked about, by its number."""


def frame_tables(dataset: Path) -> list[Path]:
    """Return the parquet files below `data`, in order; links are followed, hidden files and folders are no tables."""
    data = dataset / "data"
    return sorted(_below(data, (os.path.realpath(data),))) if data.is_dir() else []


def check_length(number: int, wanted: int | None, rows: int, path: Path) -> None:
    """DataError where an episode has another number of rows than of frames; None is any."""
    if wanted not in (None, rows):
        raise DataError(f"episode {number} must have {wanted} rows in {path}, but has {rows}")


def _below(place: Path, above: tuple[str, ...]) -> Iterator[Path]:
    for entry in place.iterdir():
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            yield from [entry] if entry.suffix == ".parquet" else []
        elif (real := os.path.realpath(entry)) not in above:
            yield from _below(entry, (*above, real))
