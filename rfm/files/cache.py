"""Where things are kept that can be made again, and what `~` stands for."""

from __future__ import annotations

import os
from pathlib import Path

from rfm.errors import ConfigError


def cache_folder() -> Path:
    """`$RFM_CACHE`, else `$XDG_CACHE_HOME/rfm`, else `~/.cache/rfm`; ConfigError where there is no home folder."""
    if chosen := os.environ.get("RFM_CACHE"):
        return expanded(chosen, "RFM_CACHE")
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "rfm"
    try:
        return Path.home() / ".cache" / "rfm"
    except RuntimeError as error:
        raise ConfigError("RFM_CACHE must name a folder where there is no home folder, but is not set") from error


def expanded(path: str, name: str) -> Path:
    """The path with `~` and `~user` replaced; ConfigError, calling it `name`, where that home is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{name} must name a folder, but is `{path}`, whose `~` stands for no home that is known; write it out"
        ) from error
