"""Files and folders that appear whole or not at all, and folders that one process writes at a time.

Work goes to a sibling whose name starts with a dot and ends in `.tmp`, and is renamed when it is done; whatever a
killed process leaves behind never carries the final name. Locks are `flock` on the folder itself: the system drops them
with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rfm.errors import ConfigError


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` to write to; becomes `path` at the end, replacing what was there."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    staged = Path(name)
    try:
        yield staged
        staged.chmod(0o644)  # mkstemp makes it private to the user
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling folder to fill; becomes `path` at the end, replacing what was there."""
    staged = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield staged
        staged.chmod(0o755)
        _replace_folder(staged, path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left staged in `folder`; only for the holder of its lock."""
    for leftover in folder.glob(".*.tmp"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


@contextmanager
def exclusive(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of `folder`, which must exist; ConfigError if another process has it and `wait` is False."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise ConfigError(f"{folder} must have one writer at a time, but another process is writing it") from error
        yield
    finally:
        os.close(handle)


def _replace_folder(staged: Path, path: Path) -> None:
    """A folder can't be renamed over a full one: the old one steps aside first; between the two there is none."""
    aside = staged.with_name(f"{staged.name[:-4]}.old.tmp")
    with suppress(FileNotFoundError):
        path.rename(aside)
    staged.rename(path)
    shutil.rmtree(aside, ignore_errors=True)
