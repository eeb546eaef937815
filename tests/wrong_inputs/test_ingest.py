"""What a user can get wrong in an ingest: one message each, which names it and the way out, and a status not 0."""

import json
from pathlib import Path

import pytest

INGEST = ("ingest", "videos")


def manifest(folder: Path, *rows: dict) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_videos_without_a_manifest(fails, tmp_path):
    (tmp_path / "videos").mkdir()
    seen = fails(INGEST, "videos", "--output", "out")
    assert "error: the videos must be listed in a manifest, but there is no videos/manifest.jsonl or videos/man" in seen
    assert "is not a folder" in fails(INGEST, "nowhere", "--output", "out")


def test_a_manifest_row_without_its_file(fails, tmp_path):
    folder = manifest(tmp_path / "videos", {"path": "gone.mp4", "task": "t"})
    seen = fails(INGEST, folder, "--output", "out")
    assert f"line 1: `path` must name a file in {folder}, but `gone.mp4` is not there" in seen


@pytest.mark.parametrize(("content", "reason"), [(b"", "Invalid data"), (b"no video" * 99, "Invalid data")])
def test_a_video_that_is_empty_or_unreadable(fails, tmp_path, content, reason):
    folder = manifest(tmp_path / "videos", {"path": "bad.mp4", "task": "t"})
    (folder / "bad.mp4").write_bytes(content)
    seen = fails(INGEST, folder, "--output", "out")
    assert f"must be readable, but decoding it gives: {reason}" in seen
    assert "1 rejected" in seen
    assert "bad.mp4" in seen


def test_an_unknown_quality_label_in_a_manifest(fails, tmp_path):
    folder = manifest(tmp_path / "videos", {"path": "a.mp4", "task": "t", "quality_label": "great"})
    (folder / "a.mp4").touch()
    seen = fails(INGEST, folder, "--output", "out")
    assert "line 1: `quality_label` in the manifest must be one of `successful` (or optimal, success" in seen
    assert "but is `great`" in seen


def of(world: Path, *more: str) -> tuple[str, ...]:
    return (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", *more)


def test_a_folder_without_pictures_in_the_place_of_a_video(fails, tmp_path):
    (tmp_path / "videos" / "ep1").mkdir(parents=True)
    folder = manifest(tmp_path / "videos", {"path": "ep1", "task": "t"})
    seen = fails(INGEST, folder, "--output", "out")
    assert "line 1: `path` must name a video, or a folder of pictures, but `ep1` is a folder without a picture" in seen


@pytest.mark.parametrize("path", ["../outside.mp4", "/etc/hostname", "deep/../../outside.mp4"])
def test_a_video_outside_its_folder(fails, tmp_path, path):
    (tmp_path / "outside.mp4").touch()
    folder = manifest(tmp_path / "videos", {"path": path, "task": "t"})
    seen = fails(INGEST, folder, "--output", "out")
    assert f"line 1: `path` must lie in {folder}, but `{path}` leads out of it: move the video there, or link" in seen


def test_a_source_without_an_episode(fails, tmp_path):
    (tmp_path / "cut.tfrecord").touch()
    seen = fails(("ingest", "rlds"), "cut.tfrecord", "--output", "out")
    assert "error: cut.tfrecord must hold episodes, but holds none" in seen
