"""One writer of a folder at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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


def test_a_folder_may_go_while_it_is_made(tmp_path, monkeypatch):
    """Its holder may move it away between the system's answer that it is there and the look at what it is."""
    there = [FileExistsError("as if another process had it until now")]
    make = os.mkdir

    def made(path, mode):
        if there:
            raise there.pop()
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", made)
    with exclusive(tmp_path / "a", wait=False):
        assert (tmp_path / "a").is_dir()
        assert not there


def test_what_is_no_folder_is_not_waited_for(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError), exclusive(tmp_path / name, wait=False):
            pytest.fail("a lock of what is no folder")


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
