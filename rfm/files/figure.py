"""Charts as files, PNG or what their ending says: matplotlib without a display. Words of data in them stay words.

One import of matplotlib for all of them, which take its names from here; half a second, so that only who draws imports
this module.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

try:
    Path.home()
except RuntimeError:  # no home folder, without which matplotlib before 3.11 must be told another or can't be imported
    _place = tempfile.TemporaryDirectory(prefix="rfm-matplotlib-")
    os.environ.setdefault("MPLCONFIGDIR", _place.name)

import matplotlib
import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rfm.console import one_line
from rfm.files.staging import staged_file

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # a path with `$\frac{` in it is no formula

__all__ = ["Axes", "Figure", "Patch", "font_file", "label", "plt", "save", "to_hex"]

matplotlib.rcParams["svg.hashsalt"] = "rfm"
_METADATA = {".svg": {"Date": None}}
"""The clock has no place in the bytes."""


def label(words: str, most: int = 100) -> str:
    """Return words of data for a title, a tick or a legend."""
    line = one_line(words, most)
    return f" {line}" if line.startswith("_") else line  # matplotlib leaves such labels out of legends


def font_file() -> str:
    """Return the file of the font that charts are lettered in, which comes with matplotlib."""
    return str(font_manager.findfont("DejaVu Sans"))


def save(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Write a figure whole or not at all, and forget it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        figure.savefig(staged, dpi=dpi, format=path.suffix[1:] or "png", metadata=_METADATA.get(path.suffix))
    plt.close(figure)
