"""Weights, optimizers and tokenizers are written by libraries that say in words of their own that the disk is full."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from rfm.errors import DataError

_TORCH_WRITER = ("inline_container", "PytorchStreamWriter")
"""Where torch's RuntimeErrors come from when a file can't be written to its end."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def written_whole(folder: Path, way_out: Callable[[], str]) -> Iterator[None]:
    """DataError, naming `folder`, the room left on its disk and `way_out`, where a file can't be written to its end."""
    try:
        yield
    except Exception as error:
        if not _is_unfinished_file(error):
            raise
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free / 1e9
        raise DataError(
            f"{folder} must be written whole, but can't be: {free:.3f} GB are free on its disk ({error}); free some, "
            f"{way_out()}"
        ) from error


def _is_unfinished_file(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    if type(error) is Exception:  # of the Rust code of tokenizers
        return str(error).endswith(tuple(f"(os error {number})" for number in _FULL))
    of_torch = isinstance(error, RuntimeError) and any(name in str(error) for name in _TORCH_WRITER)
    return of_torch or isinstance(error, SafetensorError)
