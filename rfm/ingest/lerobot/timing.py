"""Which picture of a video belongs to which row of a LeRobot episode.

lerobot encodes row i as frame i, shown at i / fps, so rows whose timestamps count like that need no more than to be
read. Other writers leave datasets whose camera is slower than the rows, whose video lacks a frame, or whose clock runs
fast or tells the time of day. As many pictures as rows are matched by their number, others by time, each picture once.
What was done is said; a row whose picture is further away than the tolerance costs its episode.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from rfm.errors import DataError

_ROUNDING = 1.001
"""A step as timestamps give it is a little longer or shorter than it is."""


class Match(NamedTuple):
    """Rows that have a picture of their own, the second at which each of them is shown, and what was done."""

    rows: Int64[np.ndarray, "k"]
    seconds: Float64[np.ndarray, "k"]
    note: str


def counts_frames(timestamps: Float64[np.ndarray, "n"], fps: float) -> bool:
    """Whether each row's time is nearer to its own frame's, i / fps, than to another one's."""
    return bool((np.abs(timestamps - np.arange(len(timestamps)) / fps) < 0.499 / fps).all())


def runs_backwards(timestamps: Float64[np.ndarray, "n"]) -> bool:
    """Whether the timestamps can't be those of frames that follow each other, not even of a coarse clock."""
    return not np.isfinite(timestamps).all() or bool((np.diff(timestamps) < 0).any())


def matched(
    times: Float64[np.ndarray, "n"],
    pictures: Float64[np.ndarray, "m"],
    step: float,
    tolerance: float | None,
    place: str,
) -> Match:
    """Match rows at `times`, which never fall, to `pictures`, which ascend, in seconds from the episode's beginning.

    `step` is that of the rows, `tolerance` the longest way from a row to its picture: by default a step of rows or of
    the camera, whichever is longer. DataError, calling the episode `place`, where there is no match.
    """
    if not len(pictures):
        raise DataError(f"{place} must have pictures, but has none")
    numbered = len(times) == len(pictures)
    if (np.diff(times) == 0).any():
        if not numbered:
            raise DataError(
                f"`timestamp` must differ where there are {len(pictures)} pictures for {len(times)} rows, but repeats: "
                f"{place}"
            )
        return Match(np.arange(len(times)), pictures, "`timestamp` repeats: rows have pictures by their number")
    most = tolerance if tolerance is not None else max(step, _median_step(pictures)) * _ROUNDING
    said = []
    if times[0] > pictures[-1] + most:
        said.append(f"`timestamp` begins at {times[0]:.10g} s, which is taken for the first picture's")
        times = times - times[0] + pictures[0]
    near = np.arange(len(times)) if numbered else _nearest(times, pictures)
    apart = np.abs(times - pictures[near])
    if numbered and tolerance is None:
        if apart.max() > step / 2:
            said.append(f"clocks of rows and video differ by up to {apart.max():.4g} s: rows have pictures by number")
        return Match(near, pictures, "; ".join(said))
    _check_near(apart, most, len(pictures), place)
    rows = _nearest_rows(near, apart)
    if len(rows) < len(times):
        said.append(f"there are {len(rows)} pictures for {len(times)} rows: each is kept once, for the nearest row")
    return Match(rows, pictures[near[rows]], "; ".join(said))


def _median_step(pictures: Float64[np.ndarray, "m"]) -> float:
    return float(np.median(np.diff(pictures))) if len(pictures) > 1 else 0.0


def _nearest(times: Float64[np.ndarray, "n"], pictures: Float64[np.ndarray, "m"]) -> Int64[np.ndarray, "n"]:
    """The place of the picture nearest to each time, the earlier of two."""
    after = np.clip(np.searchsorted(pictures, times), 1, max(len(pictures) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(pictures) - 1)
    return np.where(times - pictures[before] <= pictures[after] - times, before, after)


def _nearest_rows(near: Int64[np.ndarray, "n"], apart: Float64[np.ndarray, "n"]) -> Int64[np.ndarray, "k"]:
    """Of the rows that share a picture the nearest one; `near` ascends."""
    order = np.lexsort((apart, near))
    return order[np.unique(near[order], return_index=True)[1]]


def _check_near(apart: Float64[np.ndarray, "n"], most: float, pictures: int, place: str) -> None:
    if apart.max() > most:
        row = int((apart > most).argmax())
        raise DataError(
            f"{place} must have a picture within {most:.4f} s of each row, but the nearest of its {pictures} is "
            f"{apart[row]:.4f} s from row {row}: --tolerance allows for more"
        )
