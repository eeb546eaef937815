"""Recordings that are small on disk and large in memory: within little memory, or one message with the way out."""

import json
import zlib

import h5py
import numpy as np
import pytest
from bombs import large_png, run_within, write_black_video
from robot_datasets import SHARED, rlds_episode, write_tfrecord

from rfm.frames.npz.file import npz_frames_shape

ROOM = 600
"""Megabytes: what a few frames and the decoder's own ones take."""
WAY_OUT = "bring the frames down by --shortest_side, or keep fewer by --max_frames"
SIDE = 4096
COUNT = 24
"""Frames of SIDE x SIDE: 1.2 GB; 8 of them, held twice, would be more than ROOM too."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_black_video(folder / "a.mp4", COUNT, SIDE, SIDE)
    (folder / "manifest.jsonl").write_text(json.dumps({"path": "a.mp4", "task": "wait"}))
    return ["videos", folder]


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    path = tmp_path_factory.mktemp("demos") / "a.hdf5"
    with h5py.File(path, "w") as file:
        shape = (COUNT, SIDE, SIDE, 3)
        pictures = file.create_dataset("data/demo_0/obs/view", shape, "u1", chunks=(1, *shape[1:]), compression="gzip")
        black = zlib.compress(bytes(3 * SIDE * SIDE), 1)
        for at in range(COUNT):
            pictures.id.write_direct_chunk((at, 0, 0, 0), black)
    return ["hdf5", path, "--task", "wait", "--label", "successful", "--orientation", "upright"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    frames = np.zeros((COUNT, 8, 8, 3), np.uint8)
    folder = tmp_path_factory.mktemp("records")
    example = rlds_episode(frames, "wait", **{"steps/observation/image": [large_png(SIDE)] * COUNT})
    write_tfrecord(folder / "a.tfrecord", [example])
    return ["rlds", folder, "--label", "successful"]


@pytest.mark.parametrize("source", ["videos", "demos", "records"])
def test_memory_is_what_is_kept(source, request, tmp_path):
    words = request.getfixturevalue(source)
    status, said = run_within(ROOM, "ingest", *words, "--output", tmp_path / "whole")
    assert status == 1, said
    assert f"must take at most 1073741824 bytes, but {COUNT} of {SIDE} x {SIDE} take" in " ".join(said.split())
    assert WAY_OUT in " ".join(said.split())
    status, said = run_within(
        ROOM, "ingest", *words, "--output", tmp_path / "small", "--shortest_side", 32, "--max_frames", 8
    )
    assert status == 0, said
    (file,) = (tmp_path / "small").rglob("*.npz")
    assert npz_frames_shape(file) == (8, 32, 32, 3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared inputs are not here")
def test_the_video_that_was_found(tmp_path):
    (folder := tmp_path / "videos").mkdir()
    (folder / "a.mp4").symlink_to(SHARED / "found" / "hostile" / "bombs" / "8192x8192_66_frames.mp4")
    (folder / "manifest.jsonl").write_text(json.dumps({"path": "a.mp4", "task": "wait"}))
    status, said = run_within(900, "ingest", "videos", folder, "--output", tmp_path / "whole")
    assert status == 1
    assert "64 of 8192 x 8192 take" in " ".join(said.split())
