"""Whether a file can be written where it is wanted: asked before the work that it is to hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rfm.errors import ConfigError


def check_writable(option: str, file: Path) -> None:
    """Raise ConfigError where no file can be made in the folder of `file`, or in the one in which that would be made.

    It is tried out, for modes say nothing of read-only file systems, nor of what root may do.
    """
    folder = file.absolute().parent
    try:
        while not folder.exists():
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"`{option}` must lie in a folder that can be written to, but {folder} is none ({error.strerror}): name "
            "another file"
        ) from error
