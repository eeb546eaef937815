"""Rows about one video: several rows of a task may name the same frames file, which makes no pair of itself."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from rfm.trajectories.catalog import Catalog


def one_a_video(catalog: Catalog, able: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return of the `able` rows the first about each task and frames file."""
    rows = np.flatnonzero(able)
    files = int(catalog.file_code.max(initial=0)) + 1
    video = catalog.task_code[rows].astype(np.int64) * files + catalog.file_code[rows]
    first = np.zeros(len(catalog), bool)
    first[rows[np.unique(video, return_index=True)[1]]] = True
    return first
