"""Git LFS pointers: what a clone without `git lfs pull` holds in place of videos, pictures and tables."""

from __future__ import annotations

from pathlib import Path

from rfm.errors import DataError

_FIRST_LINE = b"version https://git-lfs.github.com/spec/"
_LONGEST = 1024
"""Bytes; the specification of pointer files allows no more."""


def is_pointer(data: bytes) -> bool:
    """Whether a file of these bytes stands for another one."""
    return data.startswith(_FIRST_LINE)


def check_fetched(path: Path) -> None:
    """DataError if the file is a pointer; one that can't be read is left to whoever opens it."""
    try:
        if path.stat().st_size > _LONGEST:
            return
        with path.open("rb") as stream:
            start = stream.read(len(_FIRST_LINE))
    except OSError:
        return
    if is_pointer(start):
        raise DataError(
            f"{path} must hold the data itself, but is a Git LFS pointer to it: run `git lfs pull` in its repository"
        )
