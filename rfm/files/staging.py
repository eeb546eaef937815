"""Files and folders that appear whole or not at all, and stay through a power cut.

Work goes to a sibling, `.NAME.<16 hex digits>.tmp`, and is renamed when it is done: whatever a killed process leaves
behind never carries the final name. What is staged is flushed to the disk before it is renamed, and the name after it,
so that a journal may count what it sees. Modes are those that the user's umask gives.

A folder takes the place of another in one step where the system can exchange two names. Where it can't (another
system, or a folder of an image's own layer under overlayfs), the new one is set down as `.NAME.new`, flushed and
complete, before the old one is touched, and whoever holds the lock next finishes what was begun.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LEFTOVER = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
"""Names of what is staged."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a system says that has no room left."""
_NO_EXCHANGE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def staged_file(path: Path, *, mode: int = 0o666, durable: bool = True) -> Iterator[Path]:
    """A temporary sibling of `path` to write to; becomes `path` at the end, replacing what was there.

    `mode` is what the umask takes from. `durable` is False where a caller checks or flushes many files by itself.
    """
    staged = _staged_name(path)
    os.close(os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode | 0o200))
    try:
        with naming(path):
            yield staged
            if durable:
                flush(staged)
            staged.replace(path)
            if durable:
                flush(path.parent)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling folder to fill; becomes `path` at the end, replacing what was there.

    Only for the holder of a lock that `path` lies under: it finishes or removes what killed processes left of `path`.
    """
    finish_replacement(path)
    remove_staged(path)
    staged = _staged_name(path)
    staged.mkdir()
    try:
        with naming(path):
            yield staged
            flush_tree(staged)
            replace_folder(staged, path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of a full disk name `path`: the system names no file, or the one that was read."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def flush(path: Path) -> None:
    """Return when a file's content, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():  # some network file systems flush names by themselves
            raise
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Flush all files and folders below `folder`, and itself."""
    for place, _, files in os.walk(folder):
        for name in files:
            flush(Path(place, name))
        flush(Path(place))


def flush_disk(folder: Path) -> None:
    """Flush all that was written to the disk that holds `folder`: for more files than are flushed one by one."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    handle = os.open(folder, os.O_RDONLY)
    try:
        if call is None:
            os.sync()
        elif call(handle) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left staged in `folder`; only for the holder of its lock."""
    for leftover in folder.iterdir():
        if LEFTOVER.fullmatch(leftover.name):
            remove(leftover)


def remove_staged(path: Path) -> None:
    """Delete what killed processes left of staging `path`; only for the holder of its lock."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")
    for leftover in path.parent.iterdir():
        if pattern.fullmatch(leftover.name):
            remove(leftover)


def remove(path: Path) -> None:
    """Delete a file, a link, or a folder with its content; another process may be deleting it too."""
    while path.is_dir() and not path.is_symlink():
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
    path.unlink(missing_ok=True)


def replace_folder(staged: Path, path: Path) -> None:
    """Give the folder `staged` the place of `path`, which need not exist and lies beside it; flushes the names."""
    if not path.exists():
        move_folder(staged, path)
    elif _exchanged(staged, path):
        flush(path.parent)
        old = _staged_name(path)
        staged.rename(old)
        remove(old)  # which the next writer takes for a leftover
    else:
        move_folder(staged, new_of(path))
        finish_replacement(path)


def finish_replacement(path: Path) -> None:
    """Put in place what `replace_folder` had set down when it was killed; only for the holder of the lock."""
    new = new_of(path)
    if not new.is_dir():
        return
    if path.exists():
        for description in sorted(path.rglob("*.json")):  # what is left of it, if this is killed, is no dataset
            description.unlink()
        shutil.rmtree(path)
    move_folder(new, path)


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder, where the system refuses it (overlayfs, another disk) by a copy; flushes the name."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy = _staged_name(target)
        shutil.copytree(source, copy, symlinks=True)
        flush_tree(copy)
        copy.rename(target)
        shutil.rmtree(source)
    flush(target.parent)


def new_of(path: Path) -> Path:
    """Return where what is to replace a folder waits, where the two can't be exchanged."""
    return path.with_name(f".{path.name}.new")


def _staged_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _exchanged(first: Path, second: Path) -> bool:
    """Exchange two names in one step (renameat2(2)); False where the system can't."""
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    names = os.fsencode(first), os.fsencode(second)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    if (number := ctypes.get_errno()) not in _NO_EXCHANGE:
        raise OSError(number, os.strerror(number), str(first), None, str(second))
    return False
