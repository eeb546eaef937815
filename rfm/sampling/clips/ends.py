"""Where a clip ends: evenly spread over progress, not over time, so that labels fill the scale."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from rfm.sampling.pairs.episode import choose
from rfm.sampling.progress import Curves
from rfm.sampling.random import RowRandom

_UNKNOWN, _SAME = np.float32(np.nan), np.float32(1e-7)


def draw_end(
    random: RowRandom, stream: str, curves: Curves, allowed: Bool[np.ndarray, "m G"]
) -> Int64[np.ndarray, " m"]:
    """Return a frame of each row: the allowed one whose progress is nearest to a uniform draw from their range.

    Frames of equal progress share their draws evenly. Rows of unknown progress draw evenly among the allowed frames;
    every row must have an allowed frame.
    """
    known = allowed & ~np.isnan(curves.progress)
    progress = np.where(known, curves.progress, _UNKNOWN).T.copy()  # by frame: reductions then run over whole rows
    low, high = np.fmin.reduce(progress, axis=0), np.fmax.reduce(progress, axis=0)
    wanted = low + random.uniform(f"{stream}/progress").astype(np.float32) * (high - low)
    miss = np.abs(progress - wanted)
    nearest = (miss <= np.fmin.reduce(miss, axis=0) + _SAME).T.copy()
    unknown = np.isnan(low)
    nearest[unknown] = allowed[unknown]
    column = choose(nearest, random.uniform(f"{stream}/frame"))
    return curves.frames[np.arange(len(column)), column]
