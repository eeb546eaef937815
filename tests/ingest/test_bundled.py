"""The bundled videos: ingested once into a cache, whatever runs beside it or is killed."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from video_folders import six_videos

from rfm.errors import ConfigError
from rfm.files.cache import cache_folder
from rfm.ingest import bundled, stored
from rfm.trajectories.catalog import load_catalog


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package with bundled videos, and a cache of its own."""
    six_videos(tmp_path / "rfm" / "ingest" / "metaworld_mini")
    monkeypatch.setattr(bundled, "__file__", str(tmp_path / "rfm" / "ingest" / "bundled.py"))
    monkeypatch.setenv("RFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # no worker processes, which would not see what tests replace
    return tmp_path / "rfm"


def test_bundled_videos_are_ingested_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = bundled.bundled_root()
    assert len(load_catalog(root, ["one", "two"])) == 6
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    monkeypatch.setattr(bundled, "ingest_videos", None)
    assert bundled.bundled_root() == root


def test_two_processes_fill_one_cache(package: Path) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=bundled.bundled_root) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert [path.name for path in cache_folder().iterdir()] == [bundled.bundled_root().name]


def _killed_while_filling(videos: int) -> None:
    write, left = stored.write_npz, [videos]

    def write_or_die(path: Path, *rest: object) -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        write(path, *rest)  # type: ignore[arg-type]

    stored.write_npz = write_or_die
    bundled.bundled_root()


def test_a_killed_fill_is_not_taken_for_complete(package: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_killed_while_filling, args=(4,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    (partial,) = cache_folder().iterdir()
    assert partial.name.endswith(".unfinished")
    assert len(load_catalog(bundled.bundled_root(), ["one", "two"])) == 6
    assert not partial.exists()


def test_without_the_videos_the_error_says_what_to_do(package: Path) -> None:
    (package / "ingest" / "metaworld_mini" / "manifest.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"must lie in .*metaworld_mini, .*: install the package again, or set `data"):
        bundled.bundled_root()


def test_a_script_without_a_main_guard_is_told_instead_of_waiting(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bundled.bundled_root()
    assert bundled.FILLING not in os.environ
    monkeypatch.setenv(bundled.FILLING, str(root))
    with pytest.raises(ConfigError, match=r"run your script again: put what it does under `if __name__ == '__main__'"):
        bundled.bundled_root()
