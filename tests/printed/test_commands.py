"""`make docs-commands`: the commands of README and docs, as printed and in order, a page at a time in an empty folder.

What is not run is skipped with the reason that the page gives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from printed_blocks import Block, blocks, documents
from printed_preparations import PREPARED

from rfm.files.cache import cache_folder

ROOT = Path(__file__).parents[2]
PAGES = [path for path in documents(ROOT) if any(blocks(path.read_text()))]
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what pages are given is kept, made when the first of them needs it."""
    return tmp_path_factory.mktemp("given")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of a shell in which `rfm` and `python` are this clone's and this Python."""
    programs = tmp_path_factory.mktemp("programs")
    for name, words in (("rfm", "-m rfm"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "RFM_CACHE": str(cache_folder()),
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "agg",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_run_as_printed(page: Path, shelf: Path, environment: dict[str, str], tmp_path: Path) -> None:
    found = [*blocks(page.read_text())]
    for block in found:
        if block.not_run is None:
            for name in block.given:
                _give(name, shelf, tmp_path)
            _run(block, f"{page.name}:{block.line}", environment, tmp_path)
    if left := [f"line {block.line}: {block.not_run}" for block in found if block.not_run]:
        pytest.skip(f"{len(found) - len(left)} of {len(found)} blocks run; not: {'; '.join(left)}")


def _give(name: str, shelf: Path, folder: Path) -> None:
    called, make = PREPARED[name]
    if not (shelf / called).exists():
        make(shelf / called)
    if (shelf / called).is_dir():
        shutil.copytree(shelf / called, folder / called, dirs_exist_ok=True)
    else:
        shutil.copy(shelf / called, folder / called)


def _run(block: Block, place: str, environment: dict[str, str], folder: Path) -> None:
    command = ["bash", "-e", "-c", block.text] if block.program == "bash" else [sys.executable, "-c", block.text]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == block.status, f"{place} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
