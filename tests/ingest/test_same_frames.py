"""Frames that several episodes show are kept once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from films import episode, film, write_episodes
from ingested import rows, run
from robot_datasets import write_video
from video_folders import files

from rfm.frames.reader import read_frames
from rfm.ingest import pipeline
from rfm.ingest.merge import MergeDatasetsOptions, merge_command
from rfm.ingest.same_frames import first_alike
from rfm.trajectories.catalog import load_catalog


def test_files_are_told_apart_by_every_byte(tmp_path: Path) -> None:
    long = bytes(200_000)
    middle = bytearray(long)
    middle[100_000] = 1
    contents = [b"a", b"b", b"a", long, bytes(middle), long, b"", b"", b"ab"]
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert [int(path.name) for path in first_alike(paths)] == [0, 1, 0, 3, 4, 3, 6, 6, 8]
    assert first_alike([]) == []


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two videos: one is listed under two tasks, and a copy of it under a third."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(2):
        write_video(folder / f"v{number}.mp4", film(number))
    (folder / "copy.mp4").write_bytes((folder / "v0.mp4").read_bytes())
    listed = ["v0.mp4,open the drawer", "v0.mp4,pull the handle", "v1.mp4,open the drawer", "copy.mp4,do both"]
    (folder / "manifest.csv").write_text("path,task,quality_label\n" + "".join(f"{row},successful\n" for row in listed))
    return folder


def test_a_video_under_two_tasks_and_its_copy_are_one_file(videos: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("videos", videos, tmp_path / "out") == 0
    made = rows(tmp_path / "out")
    files = [Path(row["frames"]).name for row in made]
    assert len(made) == 4
    assert files[0] == files[1] == files[3] != files[2]
    assert sorted(path.name for path in (tmp_path / "out" / "videos" / "frames").iterdir()) == sorted({*files})
    shown = [read_frames(tmp_path / "out", row["frames"], range(row["num_frames"])) for row in made]
    assert np.array_equal(shown[0], shown[3])
    assert load_catalog(tmp_path / "out", ["videos"]).file_code.tolist() == [0, 0, 1, 0]


def _killed_before_its_rows(folder: Path, output: Path) -> None:
    pipeline._finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    run("videos", folder, output)


def test_killed_when_copies_are_gone_and_run_again_gives_the_same_bytes(videos: Path, tmp_path: Path) -> None:
    assert run("videos", videos, tmp_path / "whole") == 0
    arguments = (videos, tmp_path / "out")
    child = multiprocessing.get_context("fork").Process(target=_killed_before_its_rows, args=arguments)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert run("videos", videos, tmp_path / "out") == 0
    assert files(tmp_path / "out" / "videos") == files(tmp_path / "whole" / "videos")


def test_rows_about_one_file_stay_that_when_datasets_are_joined(tmp_path: Path) -> None:
    first = episode(tmp_path / "one", "left", "a", film(0))
    again = first.__class__(**{**vars(first), "id": "b", "task": "do something else"})
    write_episodes(tmp_path / "one", "left", [first, again, episode(tmp_path / "one", "left", "c", film(1))])
    copied = episode(tmp_path / "two", "right", "d", film(0))
    write_episodes(tmp_path / "two", "right", [copied])
    folders = (str(tmp_path / "one" / "left"), str(tmp_path / "two" / "right"))
    assert merge_command(MergeDatasetsOptions(folders=folders, output=str(tmp_path / "joined" / "all"))) == 0
    assert load_catalog(tmp_path / "joined", ["all"]).file_code.tolist() == [0, 0, 1, 0]
    assert len(list((tmp_path / "joined" / "all" / "frames").iterdir())) == 2
