"""Progress curves as a picture: frames of the episode above, predicted and recorded progress below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes

from rfm.files.figure import label, plt, save
from rfm.scoring.curves import EpisodeCurve

FILMSTRIP = 4
"""Frames shown above each curve."""
_NAME = 80


def plot_curves(curves: Sequence[EpisodeCurve], films: Sequence[UInt8[np.ndarray, "t h w 3"]], path: Path) -> None:
    """Write a PNG with one column an episode; `films` are some frames of each, evenly spaced."""
    figure, axes = plt.subplots(
        2, len(curves), figsize=(5 * len(curves), 4.6), height_ratios=[1, 2.4], squeeze=False, layout="constrained"
    )
    for column, (curve, film) in enumerate(zip(curves, films, strict=True)):
        title = f"{label(curve.task, _NAME)}\n{label(curve.trajectory_id, _NAME)}"
        draw_filmstrip(axes[0, column], list(film), title)
        _curve(axes[1, column], curve, first=column == 0)
    save(figure, path, dpi=110)


def draw_filmstrip(axis: Axes, film: Sequence[UInt8[np.ndarray, "h w 3"]], title: str) -> None:
    """Draw frames side by side, under a title."""
    axis.imshow(np.concatenate(list(film), axis=1))
    axis.set_title(title, fontsize=10)
    axis.axis("off")


def _curve(axis: Axes, curve: EpisodeCurve, *, first: bool) -> None:
    axis.plot(curve.end, curve.recorded, color="black", linewidth=2, label="recorded")
    axis.plot(curve.end, curve.predicted, color="tab:blue", marker="o", markersize=3, label="predicted")
    axis.set(xlabel="frame", ylim=(-4, 104), xlim=(0, curve.end[-1]))
    axis.set_title(f"{label(str(curve.quality))}: {_error(curve)}", fontsize=9)
    axis.grid(alpha=0.3)
    if first:
        axis.set_ylabel("progress, 0 to 100")
        axis.legend(loc="upper left")


def _error(curve: EpisodeCurve) -> str:
    """Say how far off the answers are, and how many could not be parsed."""
    errors = np.abs(curve.predicted - curve.recorded)
    unparsed = int(np.isnan(errors).sum())
    mean = "no answer" if unparsed == len(errors) else f"mean error {np.nanmean(errors):.1f}"
    return f"{mean}, {unparsed} unparsed" if unparsed else mean
