"""Frames that are missing, broken, or shown by another dataset too."""

from __future__ import annotations

import numpy as np
import pytest
from audit.audits import look
from audit.faulty import Row, edit_config, is_pair, rewrite
from datasets import load_from_disk

from rfm.frames.npz.file import write_npz
from rfm.frames.reader import read_frames

pytestmark = pytest.mark.usefixtures("quick")


def test_missing_files_are_found(own_world):
    root, path = own_world
    for file in sorted((root / "toy_train" / "frames").iterdir())[:3]:
        file.unlink()
    found = look(path)
    assert found.failed == ["unreadable rows"]
    assert found.checks["unreadable rows"]["note"].startswith("missing file: ")
    assert "3 of 60 files (5.0%)" in found.checks["unreadable rows"]["note"]
    rows = found.checks["unreadable rows"]["measured"]
    assert look(path, max_unreadable=rows).failed == []


def test_a_truncated_file_is_found(own_world):
    root, path = own_world
    file = root / "toy_train" / "frames" / "trajectory_toy_train_000.npz"
    file.write_bytes(file.read_bytes()[:-1000])
    found = look(path)
    assert found.failed == ["unreadable rows"]
    assert found.checks["unreadable rows"]["note"].startswith("unreadable file: ")
    assert list(found.found["datasets"][0]["files"]["reasons"]) == ["toy_train/frames/trajectory_toy_train_000.npz"]


def test_frames_beyond_a_files_end_are_found(own_world):
    root, path = own_world
    file = root / "toy_train" / "frames" / "trajectory_toy_train_006.npz"
    frames = read_frames(root, "toy_train/frames/trajectory_toy_train_006.npz", range(20))
    write_npz(file, frames)
    found = look(path)
    assert found.failed == ["unreadable rows"]
    assert found.checks["unreadable rows"]["note"].startswith("frame index outside the file: ")


def test_a_path_that_leaves_the_root_is_unreadable(clean, tmp_path):
    def astray(rows: list[Row]) -> list[Row]:
        return [row | {"npz_path": "../secret.npz"} if not is_pair(row) else row for row in rows]

    found = look(rewrite(clean, tmp_path / "vqa", astray))
    assert "unreadable rows" in found.failed
    assert "must lie under the datasets root" in found.checks["unreadable rows"]["note"]


def test_datasets_of_other_trajectories_share_nothing(clean, held_out):
    found = look(clean, held_out, min_progress_error=0.5)
    assert found.failed == []
    assert found.checks["shared trajectories"]["measured"] == 0
    assert found.checks["look-alike episodes"]["verdict"] == "ok"
    assert found.checks["shared instructions"]["verdict"] == "reported"
    assert look(clean, held_out, min_progress_error=0.5, max_task_overlap=1).failed == ["shared instructions"]


def test_training_rows_in_a_test_set_are_found(clean, held_out, tmp_path):
    train = load_from_disk(str(clean)).to_list()
    mixed = rewrite(held_out, tmp_path / "vqa", lambda rows: rows + train[:10])
    found = look(clean, edit_config(mixed, config={}, counts={}), min_progress_error=0.5)
    assert found.failed == ["shared trajectories"]
    assert found.found["comparisons"][0]["shared_rows"] == 10
    shared = found.found["comparisons"][0]["shared_trajectories"]
    assert look(clean, mixed, min_progress_error=0.5, max_overlap=len(shared), max_ratio_error=20).failed == []


def test_a_training_episode_under_another_name_in_a_test_set_is_found(own_world, held_out, tmp_path):
    root, path = own_world
    frames = read_frames(root, "toy_train/frames/trajectory_toy_train_000.npz", range(32))
    noise = np.random.default_rng(0).integers(-2, 3, frames.shape)
    write_npz(root / "toy_eval" / "frames" / "trajectory_toy_eval_000.npz", (frames + noise).astype(np.uint8))
    found = look(
        path, edit_config(rewrite(held_out, tmp_path / "held_out"), datasets_root=str(root)), min_progress_error=0.5
    )
    assert found.failed == ["look-alike episodes"]
    twins = [f"toy_{part}/frames/trajectory_toy_{part}_000.npz" for part in ("train", "eval")]
    assert found.found["comparisons"][0]["look_alikes"] == [twins]
    options = {"min_progress_error": 0.5, "max_hashed_episodes": 0}
    assert look(path, held_out, **options).checks["look-alike episodes"]["verdict"] == "not checked"


def test_one_name_under_two_roots_is_shared_where_it_looks_the_same(clean, own_world, tmp_path):
    root, path = own_world  # a copy
    names = [f"toy_train/frames/trajectory_toy_train_{at:03d}.npz" for at in range(0, 60, 2)]
    for name in names:
        frames = read_frames(root, name, range(32))
        write_npz(root / name, frames[:, ::-1, ::-1] // 2)
    found = look(clean, path, min_progress_error=0.5)
    (compared,) = found.found["comparisons"]
    shown = set(names) & set(compared["namesakes"])
    assert len(shown) > 20
    assert set(compared["namesakes"]) == shown
    assert not shown & set(compared["shared_trajectories"])
    assert len(compared["shared_trajectories"]) > 20, "those that were copied as they are"
    assert 0 < compared["shared_rows"] < 1200
    note = found.checks["shared trajectories"]["note"]
    assert f"; {len(shown)} more have one name and look different: toy_train/frames/" in note
    unseen = look(clean, path, min_progress_error=0.5, max_hashed_episodes=0)
    assert unseen.found["comparisons"][0]["namesakes"] == []
    assert (
        "by name alone: whether they are the same under two roots is not known"
        in (unseen.checks["shared trajectories"]["note"])
    )
