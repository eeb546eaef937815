"""One writer of a folder at a time."""

from __future__ import annotations

import os
from pathlib import Path

from rfm.errors import ConfigError
from rfm.files.lock import exclusive


def refused(folder: Path) -> bool:
    try:
        with exclusive(folder, wait=False):
            return False
    except ConfigError as error:
        return str(error).startswith(f"{folder} must have one writer at a time")


def test_a_lock_is_of_what_carries_the_name(tmp_path):
    """Made and locked are two steps: whoever waited for a folder that is gone locks the new one."""
    with exclusive(tmp_path / "a", wait=False):
        assert refused(tmp_path / "a")
        (tmp_path / "a").rename(tmp_path / "b")
        assert refused(tmp_path / "b")
        with exclusive(tmp_path / "a", wait=False):
            assert refused(tmp_path / "a")
    assert not refused(tmp_path / "a")


def test_a_lock_ends_with_its_block_and_not_with_processes_forked_in_it(tmp_path):
    read, write = os.pipe()
    with exclusive(tmp_path, wait=False):
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        with exclusive(tmp_path, wait=False):
            pass
    finally:
        os.close(write)
        os.waitpid(child, 0)
