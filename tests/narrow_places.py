"""`rfm train` where there is little room: on small disks that nobody else sees, and with few open files."""

from __future__ import annotations

import ctypes
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rfm.cli import run_command

_NEW_MOUNTS = 0x20000
"""CLONE_NEWNS of unshare(2)."""


def _may_mount() -> bool:
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and subprocess.run([unshare, "-m", "true"], check=False, capture_output=True).returncode == 0
    )


needs_mounts = pytest.mark.skipif(not _may_mount(), reason="a small disk of one's own needs the right to mount")


def small_disk(size: str, folder: str | Path) -> None:
    """Mount an empty disk for this process and its children alone, which others neither see nor can be hurt by."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)


def resize(size: str, folder: str | Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def train_with_shared_memory(size: str, words: list[str]) -> int:
    """`rfm train` where /dev/shm has that size, as in containers."""
    small_disk(size, "/dev/shm")
    return run_command(("train",), words, "rfm train")


def train_with_open_files(limit: int, words: list[str]) -> int:
    """`rfm train` after `ulimit -n`."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return run_command(("train",), words, "rfm train")


def train_on_a_full_disk_and_on_a_larger_one(disk: Path, words: list[str], advised: list[str]) -> int:
    """`rfm train` on a disk of 4 MB, where it must fail, and with what is advised on the same one of 64 MB."""
    disk.mkdir()
    small_disk("4m", disk)
    if run_command(("train",), words, "rfm train") != 1:
        return 3
    resize("64m", disk)
    status = run_command(("train",), [*words, *advised], "rfm train")
    sys.stdout.write(" ".join(path.name for path in disk.glob("run/*")))
    sys.stdout.flush()
    return status
