"""Suggested success cut-offs of what was ingested: where its successful episodes stop moving.

Looked for in the frames as they were stored, in up to EPISODES successful episodes a source without recorded progress,
chosen by a hash of their ids, so that the same datasets get the same suggestion. It stands in `dataset_info.json` and
changes nothing by itself: `data.success_cutoff=idle` or a cut-off file puts it into effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rfm.frames.idle_tail import FEWEST_FRAMES, done_share, looked_at
from rfm.frames.npz.file import read_npz_frames
from rfm.trajectories.record import Trajectory

EPISODES = 64
LATEST = 0.95
"""A source whose episodes stop later than that has no tail to speak of."""


def suggest_cutoffs(frames: Path, rows: Sequence[Trajectory]) -> dict[str, float]:
    """Return the median share of time after which episodes of a source stand still, where that is LATEST at most.

    `frames` is the folder with the files of all rows.
    """
    found = {}
    for source in dict.fromkeys(row.data_source for row in rows):
        shares = [share for row in _chosen(source, rows) if (share := _share(frames, row)) is not None]
        if shares and float(np.median(shares)) <= LATEST:
            found[source] = round(float(np.median(shares)), 4)
    return found


def _chosen(source: str, rows: Sequence[Trajectory]) -> list[Trajectory]:
    fit = [
        row
        for row in rows
        if row.data_source == source
        and row.quality_label == "successful"
        and row.progress is None
        and row.num_frames >= FEWEST_FRAMES
    ]
    return sorted(fit, key=lambda row: hashlib.sha256(row.id.encode()).digest())[:EPISODES]


def _share(frames: Path, row: Trajectory) -> float | None:
    shown = looked_at(row.num_frames)
    return done_share(read_npz_frames(frames / Path(row.frames).name, shown), shown, row.num_frames)
