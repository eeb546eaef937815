"""Where a clip ends: evenly spread over progress, not over time, so that labels fill the scale."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from rfm.sampling.bits import pick
from rfm.sampling.clips.extremes import Extremes
from rfm.sampling.random import RowRandom
from rfm.sampling.rungs import Rungs


def with_a_frame_before(rungs: Rungs, frames: Int64[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
    """Return which frames of episodes of `frames` frames can be the end of a forward clip."""
    return rungs.since(1) & rungs.until(frames - 1)


def with_a_frame_after(rungs: Rungs, frames: Int64[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
    """Return which frames of episodes of `frames` frames can be the end of a backward clip."""
    return rungs.until(frames - 2)


def draw_end(
    random: RowRandom,
    stream: str,
    rungs: Rungs,
    allowed: UInt64[np.ndarray, " m"],
    extremes: Extremes | None = None,
) -> Int64[np.ndarray, " m"]:
    """Return a frame of each row: the allowed one whose progress is nearest to a uniform draw from their range.

    Frames of equal progress share their draws evenly. Rows of unknown progress draw evenly among the allowed frames;
    every row must have an allowed frame. With `extremes` frames of progress 0 and 100 have those shares of the draws of
    rows that have them, and are never the nearest to any other draw.
    """
    known, ticket = allowed & rungs.known, random.uniform(f"{stream}/progress")
    if extremes is None:
        low, high = rungs.range(known)
        nearest = rungs.nearest(known, low + ticket.astype(np.float32) * (high - low))
    else:
        nearest = _with_extremes(rungs, known, ticket, extremes)
    among = np.where(known == 0, allowed, nearest)
    return rungs.frame(pick(among, random.uniform(f"{stream}/frame")))


def _with_extremes(
    rungs: Rungs, known: UInt64[np.ndarray, " m"], ticket: Float64[np.ndarray, " m"], extremes: Extremes
) -> UInt64[np.ndarray, " m"]:
    """Return the frames to draw among: an extreme for its share of the tickets, else the nearest of what lies between.

    What lies between runs to 0 and to 1 where there are extremes; rows without any share all tickets among those.
    """
    at_bottom, at_top = known & rungs.bottom, known & rungs.top
    between = known & ~(at_bottom | at_top)
    has_bottom, has_top, has_between = at_bottom > 0, at_top > 0, between > 0
    bottom, top = has_bottom * extremes.bottom, has_top * extremes.top
    rest = np.where(has_between, 1 - bottom - top, 0.0)
    whole = bottom + rest + top
    place = ticket * np.where(whole > 0, whole, 1.0)
    low, high = rungs.range(between)
    low, high = np.where(has_bottom, np.float32(0), low), np.where(has_top, np.float32(1), high)
    inside = np.clip((place - bottom) / np.where(rest > 0, rest, 1.0), 0, 1).astype(np.float32)
    nearest = rungs.nearest(np.where(has_between, between, known), low + inside * (high - low))
    nearest = np.where(has_top & (place >= bottom + rest), at_top, nearest)
    return np.where(has_bottom & (place < bottom), at_bottom, nearest)
