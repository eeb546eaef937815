"""One writer of a folder at a time: `flock` on the folder itself, dropped by the system with the process.

The folder may be moved or deleted by its holder while another process waits, so what was locked must still be what
carries the name. `ownership` is for folders that are made from nothing; those that grow in place (a run of training, a
cache) need the lock alone.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rfm.errors import ConfigError


@contextmanager
def exclusive(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of `folder`, made if need be; ConfigError if another process has it and `wait` is False."""
    while True:
        _make(folder)
        with held(folder, folder, wait=wait) as is_there:
            if is_there:
                yield
                return


def _make(folder: Path) -> None:
    """Create the folder where there is none; FileExistsError where something else is."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # also of a folder that its holder took away before it was looked at
        try:
            other = not stat.S_ISDIR(folder.stat().st_mode)
        except FileNotFoundError:
            other = folder.is_symlink()
        if other:
            raise


@contextmanager
def held(folder: Path, name: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of `folder`, called `name` in the ConfigError; False where it is not there, or not any more."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        _lock(handle, name, wait=wait)
        yield _carries(folder, handle)
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # closing alone leaves it with processes that were forked meanwhile
        os.close(handle)


def _lock(handle: int, folder: Path, *, wait: bool) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        raise ConfigError(
            f"{folder} must have one writer at a time, but another process is writing it; wait for it to end, or name "
            "another"
        ) from error


def _carries(folder: Path, handle: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
