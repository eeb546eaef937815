"""Curves beside recorded progress as a picture: frames of the episode above, predicted and recorded progress below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from rfm.files.figure import Axes, label, plt, save
from rfm.frames.spacing import evenly_spaced
from rfm.scoring.records import Curve

FILMSTRIP = 4
"""Frames shown above each curve."""
_NAME = 80


class Watched(NamedTuple):
    """An episode of recorded progress, and what a model says of it."""

    name: str
    quality: str
    frames: UInt8[np.ndarray, "t h w 3"]
    recorded: Float[np.ndarray, " t"]
    """In [0, 1]."""
    curve: Curve


def plot_curves(watched: Sequence[Watched], path: Path) -> None:
    """Write a PNG with one column an episode."""
    figure, axes = plt.subplots(
        2, len(watched), figsize=(5 * len(watched), 4.6), height_ratios=[1, 2.4], squeeze=False, layout="constrained"
    )
    for column, one in enumerate(watched):
        title = f"{label(one.curve.task, _NAME)}\n{label(one.name, _NAME)}"
        film = one.frames[evenly_spaced(len(one.frames), FILMSTRIP)]
        draw_filmstrip(axes[0, column], list(film), title)
        _curve(axes[1, column], one, first=column == 0)
    save(figure, path, dpi=110)


def draw_filmstrip(axis: Axes, film: Sequence[UInt8[np.ndarray, "h w 3"]], title: str) -> None:
    """Draw frames side by side, under a title."""
    axis.imshow(np.concatenate(list(film), axis=1))
    axis.set_title(title, fontsize=10)
    axis.axis("off")


def _curve(axis: Axes, one: Watched, *, first: bool) -> None:
    at = one.curve.frames
    recorded, predicted = 100.0 * one.recorded[at], 100.0 * one.curve.expected
    axis.plot(at, recorded, color="black", linewidth=2, label="recorded")
    axis.plot(at, predicted, color="tab:blue", marker="o", markersize=3, label="predicted")
    axis.set(xlabel="frame", ylim=(-4, 104), xlim=(0, max(at[-1], 1)))
    axis.set_title(f"{label(one.quality)}: mean error {np.abs(predicted - recorded).mean():.1f}", fontsize=9)
    axis.grid(alpha=0.3)
    if first:
        axis.set_ylabel("progress, 0 to 100")
        axis.legend(loc="upper left")
