"""The pictures of a page: each once, and one frame that is not there does not cost the others."""

from __future__ import annotations

import numpy as np
import pytest

from rfm.frames.npz.file import write_npz
from rfm.pages.album import BLOCK, Source, by_file, collect, pictures


@pytest.fixture
def root(tmp_path):
    frames = np.zeros((4, 32, 48, 3), np.uint8)
    frames[2:] = 200
    (tmp_path / "a").mkdir()
    write_npz(tmp_path / "a" / "b.npz", frames)
    return tmp_path


def test_equal_pictures_are_one_and_a_bad_index_is_named(root):
    album = collect([Source(root, "", {"a/b.npz": [0, 1, 2, 9]})], 1_000_000)
    assert [album.number[0, "a/b.npz", frame] for frame in (0, 1, 2)] == [0, 0, 1]
    assert (0, "a/b.npz", 9) not in album.number
    assert "a/b.npz" in album.faults[0, "a/b.npz"]
    assert len(album.pictures) == 2
    assert len(album.blocks()) == -(-2 // BLOCK)


def test_without_a_root_every_file_says_why():
    album = collect([Source(None, "no root is known", {"a.npz": [0]})], 1_000)
    assert album.faults == {(0, "a.npz"): "no root is known"}
    assert album.pictures == []


def test_more_pictures_are_smaller_ones():
    frames = np.random.default_rng(0).integers(0, 255, (1, 200, 900, 3), np.uint8)
    assert len(pictures(frames, 48)[0]) < len(pictures(frames, 160)[0])


def test_frames_are_wanted_once():
    assert by_file([("b", [3, 1]), ("a", [0]), ("b", [1, 2])]) == {"a": [0], "b": [1, 2, 3]}
