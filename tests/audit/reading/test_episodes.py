import dataclasses
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from catalogs import make_catalog, random_catalog
from datasets import Dataset
from sampling.oracle import progress_at
from worlds import make_world

from rfm.audit.reading.asking import UNKNOWN
from rfm.audit.reading.episodes import Episodes, data_settings, load_episodes, try_load_episodes
from rfm.audit.reading.questions import read_questions
from rfm.errors import DataError


def test_progress_is_the_oracles():
    catalog = random_catalog(3, 60)
    episodes = Episodes(catalog)
    at = np.repeat(np.arange(60), 90)
    frame = np.tile(np.arange(90), 60)
    expected = [
        progress_at(catalog, row, one) if one < catalog.num_frames[row] else None
        for row, one in zip(at.tolist(), frame.tolist(), strict=True)
    ]
    known = np.array([np.nan if value is None else value for value in expected], float)
    assert episodes.progress(at, frame) == pytest.approx(known, nan_ok=True)


def test_what_is_not_known_has_no_progress():
    episodes = Episodes(make_catalog(frames=[10]))
    assert np.isnan(episodes.progress(np.array([UNKNOWN, 0, 0]), np.array([3, -1, 10]))).all()


@pytest.mark.parametrize(
    ("pred_type", "share", "lowest", "expected"),
    [
        ("absolute_wrt_total_frames", 1.0, 4, 8 / 20),
        ("relative_first_frame", 1.0, 4, 8 / 20),
        ("absolute_first_frame", 1.0, 4, 3 / 15),
        ("absolute_first_frame", 0.6, 4, 3 / 7),
        ("absolute_wrt_total_frames", 0.6, 4, 8 / 12),
        ("absolute_wrt_total_frames", 0.3, 4, 1.0),
    ],
)
def test_time_counts_as_the_dataset_says(pred_type, share, lowest, expected):
    episodes = Episodes(make_catalog(frames=[20]), pred_type, {"source0": share})
    assert episodes.progress(np.array([0]), np.array([7]), np.array([lowest])) == pytest.approx([expected])


def test_recorded_times_take_the_place_of_frame_numbers():
    catalog = make_catalog(frames=[5, 5], times=[[0, 0.1, 0.15, 0.9, 1.0], []])
    at, frame, lowest = np.array([0, 0, 1]), np.array([3, 1, 3]), np.array([1, 1, 1])
    assert Episodes(catalog).progress(at, frame) == pytest.approx([4.6 / 5, 1.4 / 5, 4 / 5])
    first = Episodes(catalog, "absolute_first_frame")
    assert first.progress(at, frame, lowest) == pytest.approx([3.2 / 3.6, 0, 2 / 3])


def test_a_clip_that_begins_after_the_cut_off_is_done():
    episodes = Episodes(make_catalog(frames=[10]), "absolute_first_frame", {"source0": 0.7})
    frame, lowest = np.array([5, 6, 6, 9, 8]), np.array([5, 5, 6, 6, 8])
    assert episodes.progress(np.zeros(5, int), frame, lowest) == pytest.approx([0, 1, 1, 1, 1])


def test_without_the_cut_offs_time_says_nothing():
    catalog = make_catalog(frames=[4, 4], quality=[2, 1], progress=[[], [0.1, 0.2, 0.3, 0.4]])
    episodes = Episodes(catalog, cutoffs=None)
    assert episodes.progress(np.array([0, 1]), np.array([1, 1])) == pytest.approx([np.nan, 0.2], nan_ok=True)
    assert episodes.timed(np.array([0, 1, UNKNOWN])).tolist() == [True, False, False]


def clip_rows(path: list[str], **columns):
    rows = {"sample_type": ["progress"] * len(path), "prompt": [""] * len(path), "answer": ["0"] * len(path)}
    return read_questions(Dataset.from_dict({**rows, "npz_path": path, "frame_indices": [[0]] * len(path), **columns}))


def test_clips_are_matched_by_file_and_a_shared_file_by_id():
    catalog = make_catalog(frames=[9, 9, 9])
    catalog = dataclasses.replace(catalog, root=Path("/root"), frames_path=pa.array(["a.npz", "b.npz", "b.npz"]))
    episodes = Episodes(catalog)
    paths = ["b.npz", "/root/a.npz", "c.npz"]
    unclear = clip_rows(paths)
    assert episodes.match(unclear, unclear.clips[""]).tolist() == [UNKNOWN, 0, UNKNOWN]
    told = clip_rows(paths, trajectory_id=["t2", "t2", "t2"])
    assert episodes.match(told, told.clips[""]).tolist() == [2, 0, UNKNOWN]


def test_the_datasets_that_paths_lie_in_are_loaded_or_all(tmp_path):
    for key in ("one", "two"):
        make_world(tmp_path, key, episodes=2)
    assert load_episodes(tmp_path, ("one/frames/x.npz",), {}).catalog.keys == ("one",)
    assert load_episodes(tmp_path, ("elsewhere/x.npz",), {}).catalog.keys == ("one", "two")
    drawn_from = {"source_hashes": {"two": "", "gone": "", "..": ""}}
    assert load_episodes(tmp_path, ("one/frames/x.npz",), drawn_from).catalog.keys == ("one", "two")
    assert load_episodes(tmp_path, ("one/frames/x.npz",), {"source_hashes": 7}).catalog.keys == ("one",)


def test_progress_on_an_instruction_is_ones_own_nothing_or_what_is_recorded():
    catalog = make_catalog(
        frames=[4, 4, 4], tasks=[0, 1, 2], scenes=[0, 0, 1], towards={(0, 1): [1.0, 0.75, 0.5, 0.25]}
    )
    episodes = Episodes(catalog)
    at, frame = np.array([0, 0, 0, 1, 0]), np.array([2, 2, 2, 2, 4])
    asked = episodes.asking.asked(np.array([0, 1, 2, 0, 1]), at)
    assert episodes.progress_asked(asked, at, frame) == pytest.approx([0.75, 0.5, 0, np.nan, np.nan], nan_ok=True)


def test_a_label_and_a_score_that_contradict_each_other():
    catalog = make_catalog(
        frames=[3] * 9,
        quality=[2, 2, 2, 1, 0, 0, -1, -1, 1],
        partial=[1.0, 0.85, 0.8, 1.0, 0.81, 0.8, 0.1, 0.8, 0.9],
        progress=[[]] * 7 + [[0.0, 0.5, 1.0]] * 2,
    )
    assert np.flatnonzero(Episodes(catalog).conflicting(0.2)).tolist() == [2, 4, 7]
    assert np.flatnonzero(Episodes(catalog).conflicting(0.6)).tolist() == [4, 5]


def test_rows_about_one_video_and_task_that_contradict_each_other():
    catalog = make_catalog(
        frames=[3] * 10,
        tasks=[0] * 8 + [0, 1],
        files=[0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
        quality=[2, 0, 2, 2, -1, -1, -1, -1, 2, 0],
        partial=[np.nan] * 4 + [0.3, 0.6, 0.3, 0.4] + [np.nan] * 2,
    )
    assert np.flatnonzero(Episodes(catalog).conflicting(0.2)).tolist() == [0, 1, 4, 5]


def test_why_there_are_no_episodes_is_said(tmp_path):
    assert try_load_episodes(None, (), {}) == (None, "the datasets root is not known")
    episodes, why_not = try_load_episodes(tmp_path, ("a.npz",), {})
    assert episodes is None
    assert why_not == f"`datasets_root` must hold trajectory datasets, but {tmp_path} has none"


@pytest.mark.parametrize("file", ["/dev/zero", "pipe", 7, ["a"], "\ud800", "a\0b"])
def test_a_file_of_cut_offs_that_a_dataset_names_is_not_opened(tmp_path, caplog, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    make_world(tmp_path, "one", episodes=2)
    config = {"config": {"data": {"dataset_success_cutoff_file": file}}}
    assert load_episodes(tmp_path, ("one/x.npz",), config).cutoffs is None
    assert "progress by time is not checked: the dataset names a file of cut-offs, but does not hold" in caplog.text
    recorded = config | {"success_cutoffs": {"one": 0.5}}
    assert load_episodes(tmp_path, ("one/x.npz",), recorded).cutoffs == {"one": 0.5}


@pytest.mark.parametrize("recorded", ["a", {"one": "half"}, {"one": 50}, {"one": 0}, {"one": True}, [0.5]], ids=str)
def test_recorded_cut_offs_are_shares(tmp_path, recorded):
    make_world(tmp_path, "one", episodes=2)
    with pytest.raises(
        DataError, match=r"`success_cutoffs` of the dataset's record must be shares in \(0, 1\] by sour"
    ):
        load_episodes(tmp_path, ("one/x.npz",), {"success_cutoffs": recorded})


@pytest.mark.parametrize("config", [{}, {"config": "config"}, {"config": {"data": None}}], ids=str)
def test_configurations_of_other_forms_have_no_settings(config):
    assert data_settings(config) == {}
