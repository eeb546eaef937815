"""Processes that are killed at a change to the disk, and power cuts: what was written and never flushed is cut.

Linux alone keeps what a killed process has written; a power cut does not. So a child notes what it flushes, by inode
and size, and after it was killed every file below a folder that is not as it was flushed loses its second half.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rfm.files import ownership

CONTEXT = multiprocessing.get_context("fork")
CHANGES = ("rename", "replace", "unlink", "rmdir", "link")


def killed_at(step: int, run: Callable[..., Any], *arguments: Any, log: Path | None = None, **named: Any) -> int:
    """Call `run` in a process of its own that dies by kill -9 at its `step`th change; return its exit code."""
    child = CONTEXT.Process(target=_dying, args=(step, log, run, arguments, named))
    child.start()
    child.join()
    return int(child.exitcode or 0)


def power_cut_at(step: int, folder: Path, run: Callable[..., Any], *arguments: Any, **named: Any) -> int:
    """The same; then cut in half what lies below `folder`, was written by `run` and never flushed."""
    safe = {_identity(path.stat()) for path in folder.rglob("*")}
    with tempfile.NamedTemporaryFile("r") as log:
        code = killed_at(step, run, *arguments, log=Path(log.name), **named)
        safe |= set(log.read().splitlines())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and _identity(path.stat()) not in safe:
            os.truncate(path, path.stat().st_size // 2)
    return code


def _identity(status: os.stat_result) -> str:
    return f"{status.st_ino} {status.st_size}"


def _dying(step: int, log: Path | None, run: Callable[..., Any], arguments: Any, named: Any) -> None:
    os.setsid()
    left = [step]

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            if not left[0]:
                os.killpg(0, signal.SIGKILL)
            left[0] -= 1
            return change(*arguments, **named)

        return wrapper

    for name in CHANGES:
        setattr(os, name, dying(getattr(os, name)))
    if log is not None:
        _note_flushes(log)
    run(*arguments, **named)


def _note_flushes(log: Path) -> None:
    flush = os.fsync

    def noting(handle: int) -> None:
        flush(handle)
        with log.open("a") as sink:
            sink.write(_identity(os.fstat(handle)) + "\n")

    def noting_all(folder: Path) -> None:
        with log.open("a") as sink:
            sink.writelines(_identity(path.stat()) + "\n" for path in folder.rglob("*"))

    os.fsync, ownership.flush_disk = noting, noting_all
