"""Charts as PNG files: matplotlib without a display, and words of data in them as they stand, never as formulas.

One import of matplotlib for all of them; half a second, so that only who draws imports this module.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from rfm.console import one_line
from rfm.files.staging import staged_file

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # a path with `$\frac{` in it is no formula

__all__ = ["label", "plt", "save"]


def label(words: str, most: int = 100) -> str:
    """Return words of data for a title, a tick or a legend."""
    line = one_line(words, most)
    return f" {line}" if line.startswith("_") else line  # matplotlib leaves such labels out of legends


def save(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Write a figure whole or not at all, and forget it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        figure.savefig(staged, dpi=dpi, format="png")
    plt.close(figure)
