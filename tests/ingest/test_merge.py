import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from films import episode, film, write_episodes

from rfm.errors import ConfigError, DataError
from rfm.frames.reader import read_frames
from rfm.ingest.merge import MergeDatasetsOptions, merge_command
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.store import read_columns


@pytest.fixture
def parts(tmp_path):
    """Two datasets of two roots, whose files have the same names."""
    for root, key, names in (("one", "left", "ab"), ("two", "right", "cd")):
        rows = []
        for name, file in zip(names, "xy", strict=True):
            row = episode(tmp_path / root, key, file, film(ord(name)))
            rows.append(row.__class__(**{**vars(row), "id": name, "progress": (0.5,) * 8, "frame_times": (0.25,) * 8}))
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
    assert read_columns(root / "all", ["frame_times"]).to_pylist() == [{"frame_times": [0.25] * 8}] * 4


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
    with pytest.raises(ConfigError, match="use --overwrite to replace it"):
        merge_command(options(parts, tmp_path / "whole"))


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
