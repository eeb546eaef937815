"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$RFM_CACHE`, else `$XDG_CACHE_HOME/rfm`, else `~/.cache/rfm`."""
    if chosen := os.environ.get("RFM_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rfm"
