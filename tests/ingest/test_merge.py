import json
import os
import shutil
import signal
import stat
from pathlib import Path

import numpy as np
import pytest
from films import episode, film, write_episodes
from power_cuts import power_cut_at

from rfm.errors import ConfigError, DataError
from rfm.files.lock import exclusive
from rfm.files.ownership import partial_of
from rfm.frames.reader import read_frames
from rfm.ingest.merge import MergeDatasetsOptions, merge_command
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.other_tasks import by_task
from rfm.trajectories.store import read_columns, replace_columns

LISTS = {
    "progress": (0.5,) * 8,
    "progress_by_task": by_task({"other": (0.75,) * 8}),
    "frame_times": (0.25,) * 8,
}


@pytest.fixture
def parts(tmp_path):
    """Two datasets of two roots, whose files have the same names."""
    for root, key, names in (("one", "left", "ab"), ("two", "right", "cd")):
        rows = []
        for name, file in zip(names, "xy", strict=True):
            row = episode(tmp_path / root, key, file, film(ord(name)))
            rows.append(row.__class__(**{**vars(row), "id": name, **LISTS}))
        write_episodes(tmp_path / root, key, rows)
    return tmp_path / "one" / "left", tmp_path / "two" / "right"


def options(parts, output: Path, **changes) -> MergeDatasetsOptions:
    return MergeDatasetsOptions(folders=tuple(map(str, parts)), output=str(output), **changes)


@pytest.mark.parametrize("copy", [False, True])
def test_all_rows_and_frames_are_in_the_joined_dataset(parts, tmp_path, copy):
    root = tmp_path / "joined"
    assert merge_command(options(parts, root / "all", copy=copy)) == 0
    catalog = load_catalog(root, ["all"])
    assert catalog.ids.to_pylist() == ["a", "b", "c", "d"]
    assert sorted(catalog.sources.to_pylist()) == ["left", "right"]
    for at, name in enumerate("abcd"):
        assert np.array_equal(read_frames(root, catalog.frames_path[at].as_py(), range(8)), film(ord(name)))
    linked = {(root / path).stat().st_nlink for path in catalog.frames_path.to_pylist()}
    assert linked == ({1} if copy else {2})
    assert catalog.has_progress.all()
    joined = read_columns(root / "all", ["frame_times", "progress_by_task"]).to_pylist()
    assert (
        joined == [{"frame_times": [0.25] * 8, "progress_by_task": [{"task_id": "other", "progress": [0.75] * 8}]}] * 4
    )


def test_rows_whose_progress_towards_other_tasks_is_none_are_kept_apart(parts, tmp_path):
    replace_columns(parts[0], {"progress_by_task": [None, [{"task_id": "other", "progress": [0.5, 2.0]}]]})
    assert merge_command(options(parts, tmp_path / "joined" / "all")) == 1
    rejected = json.loads((tmp_path / "joined" / "all" / "rejected.jsonl").read_text())
    assert rejected == {
        "id": "b",
        "reason": "trajectory `b`: `progress_by_task[other][1]` must be in [0, 1], but is 2.0; "
        "`progress_by_task[other]` must have one value a frame (8), but has 2",
    }


def test_repeating_it_changes_nothing(parts, tmp_path):
    made = options(parts, tmp_path / "joined" / "all", overwrite=True)
    contents = []
    for _ in range(2):
        merge_command(made)
        files = (path for path in (tmp_path / "joined").rglob("*") if path.is_file())
        contents.append({path.relative_to(tmp_path): path.read_bytes() for path in files})
    assert contents[0] == contents[1]


def test_rows_without_readable_frames_are_kept_apart(parts, tmp_path):
    (parts[0] / "frames" / "trajectory_x.npz").write_text("no zip")
    assert merge_command(options(parts, tmp_path / "joined" / "all")) == 1
    rejected = json.loads((tmp_path / "joined" / "all" / "rejected.jsonl").read_text())
    assert rejected["id"] == "a"
    assert "must be a readable .npz" in rejected["reason"]
    assert len(load_catalog(tmp_path / "joined", ["all"])) == 3


def test_what_cannot_be_joined_is_said(parts, tmp_path):
    with pytest.raises(DataError, match=r"`id` must differ in all datasets, but `a` is in .*left and .*left"):
        merge_command(options([parts[0], parts[0]], tmp_path / "joined" / "all"))
    with pytest.raises(
        ConfigError, match=r"`folders` must be dataset folders, but .*joined holds no `processed_dataset`"
    ):
        merge_command(options([tmp_path / "joined"], tmp_path / "new"))
    with pytest.raises(ConfigError, match="`output` must be another folder"):
        merge_command(options(parts, parts[0]))
    merge_command(options(parts, tmp_path / "whole"))
    assert merge_command(options(parts, tmp_path / "whole")) == 0
    with pytest.raises(ConfigError, match=r"`output` .*whole exists; add --overwrite to replace it, or name another"):
        merge_command(options(parts[:1], tmp_path / "whole"))


def test_a_dataset_without_data_source_is_its_own_source(parts, tmp_path):
    from datasets import load_from_disk

    for part, values in zip(parts, ([None, " "], None), strict=True):
        saved = load_from_disk(str(part / "processed_dataset"))
        columns = {**saved.remove_columns("data_source").to_dict(), **({"data_source": values} if values else {})}
        type(saved).from_dict(columns).save_to_disk(str(tmp_path / "bare" / part.name / "processed_dataset"))
        shutil.copytree(part / "frames", tmp_path / "bare" / part.name / "frames")
    bare = [tmp_path / "bare" / part.name for part in parts]
    assert merge_command(options(bare, tmp_path / "joined" / "all")) == 0
    catalog = load_catalog(tmp_path / "joined", ["all"])
    assert [catalog.sources[int(code)].as_py() for code in catalog.source_code] == ["left", "left", "right", "right"]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["frames/episode.mp4", "frames/left/episode.mp4", "frames/a.npz", "notes.txt"])
def test_recordings_are_never_deleted(parts, tmp_path, name, overwrite):
    recording = tmp_path / "mine" / name
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"precious")
    expected = rf"`output` must be free or a trajectory dataset, but .*mine holds {name}, which is no part of one"
    with pytest.raises(ConfigError, match=expected):
        merge_command(options(parts, tmp_path / "mine", overwrite=overwrite))
    assert content(tmp_path / "mine") == {name: b"precious"}


@pytest.fixture
def cameras(tmp_path):
    """Two cameras of one robot: equal ids and file names, other frames."""
    for key, seed in (("front", 0), ("wrist", 10)):
        rows = [episode(tmp_path / "robot", key, name, film(seed + ord(name))) for name in "abc"]
        write_episodes(tmp_path / "robot", key, rows)
    return tmp_path / "robot" / "front", tmp_path / "robot" / "wrist"


def test_a_refused_merge_changes_nothing(cameras, tmp_path):
    front, wrist = cameras
    merge_command(options([front], tmp_path / "joined"))
    before = content(tmp_path / "joined")
    with pytest.raises(DataError, match="`id` must differ in all datasets, but `a` is in"):
        merge_command(options([wrist, front], tmp_path / "joined", overwrite=True))
    assert content(tmp_path / "joined") == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("copy", [False, True])
def test_killed_anywhere_the_rows_have_their_own_frames(cameras, tmp_path, copy):
    front, wrist = cameras
    output = tmp_path / "joined"
    datasets = []
    for camera in (wrist, front):
        merge_command(options([camera], output, copy=copy, overwrite=True))
        datasets.append(content(output))
    after, before = datasets
    step, code = 0, -signal.SIGKILL
    while code:
        code = power_cut_at(step, tmp_path, merge_command, options([wrist], output, copy=copy, overwrite=True))
        assert content(output) in (before, after)
        if content(output) == after:
            break
        step += 1
    assert merge_command(options([wrist], output, copy=copy, overwrite=True)) == 0
    assert content(output) == after
    assert step > 3


@pytest.mark.parametrize("rights", [0o600, 0o444, 0o400])
@pytest.mark.parametrize("copy", [False, True])
def test_rights_of_the_sources_are_kept_and_not_widened(parts, tmp_path, rights, copy):
    private = parts[0] / "frames" / "trajectory_x.npz"
    private.chmod(rights)
    merge_command(options(parts, tmp_path / "joined", copy=copy))
    assert stat.S_IMODE(private.stat().st_mode) == rights
    joined = tmp_path / "joined" / "frames" / "000000_trajectory_x.npz"
    assert stat.S_IMODE(joined.stat().st_mode) | 0o200 == rights | 0o200


def test_a_second_merge_is_refused_before_it_changes_anything(parts, tmp_path):
    with (
        exclusive(partial_of(tmp_path / "joined"), wait=False),
        pytest.raises(ConfigError, match="must have one writer at a time, but another process is writing it"),
    ):
        merge_command(options(parts, tmp_path / "joined", overwrite=True))
    assert not (tmp_path / "joined").exists()


@pytest.mark.parametrize("cut", [0, 0.5])
def test_joined_frames_that_were_cut_are_not_complete(parts, tmp_path, cut):
    made = options(parts, tmp_path / "joined", copy=True)
    merge_command(made)
    frames = tmp_path / "joined" / "frames" / "000001_trajectory_y.npz"
    os.truncate(frames, int(frames.stat().st_size * cut))
    with pytest.raises(ConfigError, match=r"`output` .*joined exists; add --overwrite to replace it"):
        merge_command(made)
