"""Where a clip ends: evenly spread over progress, not over time, so that labels fill the scale."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from rfm.sampling.clips.extremes import Extremes, at_bottom, at_top
from rfm.sampling.pairs.episode import choose
from rfm.sampling.progress import Curves
from rfm.sampling.random import RowRandom

_UNKNOWN, _SAME = np.float32(np.nan), np.float32(1e-7)
_BELOW, _ABOVE = np.float32(-2), np.float32(3)
"""Where extremes are set apart: further from all between than those from each other."""


def with_a_frame_before(curves: Curves, frames: Int64[np.ndarray, " m"]) -> Bool[np.ndarray, "m G"]:
    """Return which grid frames of episodes of `frames` frames can be the end of a forward clip."""
    return (curves.frames >= 1) & (curves.frames < frames[:, None])


def with_a_frame_after(curves: Curves, frames: Int64[np.ndarray, " m"]) -> Bool[np.ndarray, "m G"]:
    """Return which grid frames of episodes of `frames` frames can be the end of a backward clip."""
    return curves.frames < frames[:, None] - 1


def draw_end(
    random: RowRandom,
    stream: str,
    curves: Curves,
    allowed: Bool[np.ndarray, "m G"],
    extremes: Extremes | None = None,
) -> Int64[np.ndarray, " m"]:
    """Return a frame of each row: the allowed one whose progress is nearest to a uniform draw from their range.

    Frames of equal progress share their draws evenly. Rows of unknown progress draw evenly among the allowed frames;
    every row must have an allowed frame. With `extremes` frames of progress 0 and 100 have those shares of the draws of
    rows that have them, and are never the nearest to any other draw.
    """
    known = allowed & ~np.isnan(curves.progress)
    progress = np.where(known, curves.progress, _UNKNOWN).T.copy()  # by frame: reductions then run over whole rows
    ticket = random.uniform(f"{stream}/progress")
    if extremes is None:
        low, high = np.fmin.reduce(progress, axis=0), np.fmax.reduce(progress, axis=0)
        wanted = low + ticket.astype(np.float32) * (high - low)
    else:
        progress = np.where(at_bottom(progress), _BELOW, np.where(at_top(progress), _ABOVE, progress))
        low, high = np.fmin.reduce(progress, axis=0), np.fmax.reduce(progress, axis=0)
        between = ((progress > _BELOW) & (progress < _ABOVE)).any(axis=0)
        wanted = _with_extremes(ticket, low, high, between, extremes)
    miss = np.abs(progress - wanted)
    nearest = (miss <= np.fmin.reduce(miss, axis=0) + _SAME).T.copy()
    unknown = np.isnan(low)
    nearest[unknown] = allowed[unknown]
    column = choose(nearest, random.uniform(f"{stream}/frame"))
    return curves.frames[np.arange(len(column)), column]


def _with_extremes(
    ticket: Float64[np.ndarray, " m"],
    low: Float32[np.ndarray, " m"],
    high: Float32[np.ndarray, " m"],
    between: Bool[np.ndarray, " m"],
    extremes: Extremes,
) -> Float32[np.ndarray, " m"]:
    """Return the progress to be nearest to: an extreme for its share of the tickets, the others from what lies between.

    What lies between runs to 0 and to 1 where there are extremes; rows without any share all tickets among those.
    """
    has_bottom, has_top = low == _BELOW, high == _ABOVE
    bottom, top = has_bottom * extremes.bottom, has_top * extremes.top
    rest = np.where(between, 1 - bottom - top, 0.0)
    place = ticket * np.where(bottom + rest + top > 0, bottom + rest + top, 1.0)
    low, high = np.where(has_bottom, np.float32(0), low), np.where(has_top, np.float32(1), high)
    inside = np.clip((place - bottom) / np.where(rest > 0, rest, 1.0), 0, 1).astype(np.float32)
    wanted = low + inside * (high - low)
    wanted = np.where(has_top & (place >= bottom + rest), _ABOVE, wanted)
    return np.asarray(np.where(has_bottom & (place < bottom), _BELOW, wanted), np.float32)
