"""Curves as a picture: of each recording some frames in a row, and below them what each model says over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from rfm.files.figure import Axes, label, plt, save
from rfm.ingest.episode import IngestOptions
from rfm.scoring.plot import draw_filmstrip
from rfm.scoring.records import Curve
from rfm.scoring.videos.scored import BAND, Scored, names, told_apart

STRIP = IngestOptions(max_frames=8, shortest_side=120)
"""How a recording is read for its row of frames."""
MOST_BANDS = 3
"""Curves whose bands can be told apart."""
_NAME, _TITLE = 60, 90


def plot_scores(scored: Sequence[Scored], films: Sequence[Sequence[UInt8[np.ndarray, "h w 3"]]], path: Path) -> None:
    """Write a PNG or SVG; `films` are some frames of each recording, evenly spaced."""
    figure, axes = plt.subplots(
        2 * len(scored), 1, figsize=(9, 4 * len(scored)), height_ratios=[1, 2.4] * len(scored), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    called = told_apart([one.name for one in scored])
    for number, (one, film) in enumerate(zip(scored, films, strict=True)):
        strip, curves = axes[2 * number, 0], axes[2 * number + 1, 0]
        task = f": {one.curves[0][1].task}" if _of_one(one) else ""
        draw_filmstrip(strip, film, label(called[number] + task, _TITLE))
        draw_curves(curves, one)
        curves.set_ylabel("progress")
        if len(one.curves) > 1:
            curves.legend(loc="best", fontsize=8)
    save(figure, path, dpi=110)


def draw_curves(axis: Axes, scored: Scored, *, steps: bool = False) -> None:
    """Draw all curves of a recording; with few of them also where most of the probability lies.

    With `steps` a value holds until the next one, as it does while one watches.
    """
    how = {"drawstyle": "steps-post"} if steps else {"marker": "o", "markersize": 3}
    for number, name in enumerate(names(scored)):
        curve, colour = scored.curves[number][1], f"C{number}"
        at = along(curve)
        axis.plot(at, curve.expected, color=colour, label=label(name, _NAME), **how)
        if len(scored.curves) <= MOST_BANDS:
            low, high = (curve.quantile(share) for share in BAND)
            axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0, step="post" if steps else None)
        for start, end in _stretches(curve):
            axis.plot([start, end], [1.03, 1.03], color=colour, linewidth=3, solid_capstyle="butt")
    curve = scored.curves[0][1]
    ends = along(curve)[[0, -1]]
    axis.set(ylim=(-0.04, 1.07), xlabel="frame" if curve.seconds is None else "seconds")
    axis.set_xlim(ends[0], ends[-1] if ends[-1] > ends[0] else ends[0] + 1)
    axis.grid(alpha=0.3)


def _of_one(scored: Scored) -> bool:
    """Whether all curves are of one task, which then stands in the title."""
    return len({curve.task for _, curve in scored.curves}) == 1


def along(curve: Curve) -> Float64[np.ndarray, " p"]:
    """Return where the points lie: seconds, or frames where times are not known."""
    return curve.frames.astype(np.float64) if curve.seconds is None else curve.seconds


def _stretches(curve: Curve) -> list[tuple[float, float]]:
    """Return from where to where it is a success."""
    at, edges = along(curve), np.diff(np.concatenate(([0], curve.success.astype(int), [0])))
    starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) - 1
    return [(float(at[start]), float(at[end])) for start, end in zip(starts, ends, strict=True)]
