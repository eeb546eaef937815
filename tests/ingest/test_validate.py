import dataclasses
import json
import logging
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Image, load_from_disk
from films import episode, film, write_episodes

from rfm.errors import ConfigError
from rfm.ingest.validate import ValidateOptions, validate, validate_command
from rfm.trajectories.catalog import load_catalog


def options(root: Path, *keys: str, **changes) -> ValidateOptions:
    return ValidateOptions(datasets=keys or ("toy",), datasets_root=str(root), **changes)


def faults(root: Path, **changes) -> list[tuple[str, str]]:
    return [(fault.id, fault.field) for fault in validate(root, "toy", options(root, **changes))]


def change(root: Path, at: int, **values) -> None:
    """Overwrite values of one saved row."""
    folder = root / "toy" / "processed_dataset"
    saved = load_from_disk(str(folder))
    rows = saved.to_list()
    rows[at].update(values)
    type(saved).from_list(rows, features=saved.features).save_to_disk(str(folder.with_name("new")))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.with_name("new").rename(folder)


@pytest.fixture
def root(tmp_path):
    rows = [episode(tmp_path, "toy", name, progress=tuple(np.linspace(0, 1, 8).tolist())) for name in "abcd"]
    rows = [dataclasses.replace(row, frame_times=row.progress) for row in rows]
    return write_episodes(tmp_path, "toy", rows)


def test_a_sound_dataset_has_no_fault(root):
    assert faults(root) == []
    assert validate_command(options(root)) == 0


def test_every_kind_of_fault_is_named_with_its_row(root):
    change(root, 0, partial_success=3.0, quality_label="great")
    change(root, 1, frames="toy/frames/../../secret.npz")
    change(root, 2, num_frames=7, frames_shape=[7, 64, 64, 3])
    change(root, 3, id="a", progress=[2.0] * 8)
    file = root / "toy" / "frames" / "trajectory_a.npz"
    file.write_bytes(file.read_bytes()[:-500])
    (root / "toy" / "frames" / "stray.npz").touch()
    assert sorted(faults(root)) == sorted(
        [
            ("a", "id"), ("a", "quality_label"), ("a", "partial_success"), ("a", "frames"), ("b", "frames"),
            ("c", "num_frames"), ("c", "frames_shape"), ("a", "progress"), ("stray.npz", "frames"),
            ("trajectory_b.npz", "frames"),
        ]
    )  # fmt: skip
    assert validate_command(options(root)) == 1


def test_times_of_frames_are_shares_that_never_fall(root):
    change(root, 0, frame_times=[at / 7 for at in range(8)])
    change(root, 1, frame_times=[0.0, 1.0])
    change(root, 2, frame_times=[0.0, 0.5, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0])
    change(root, 3, frame_times=[0.0, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9, 1.5])
    found = [(fault.id, fault.text) for fault in validate(root, "toy", options(root))]
    assert found == [
        ("b", "`frame_times` must have one value a frame (8), but has 2"),
        ("c", "`frame_times` must never fall, but does"),
        ("d", "`frame_times` must be in [0, 1] at every frame, but is not"),
    ]


def test_progress_towards_other_tasks_is_what_a_row_may_hold(root):
    eighth = [at / 8 for at in range(8)]
    change(root, 0, progress_by_task=[{"task_id": "other", "progress": eighth}, {"task_id": None, "progress": eighth}])
    change(root, 1, progress_by_task=[{"task_id": "other", "progress": [0.5, float("nan")]}])
    change(root, 2, progress_by_task=[{"task_id": "Do it", "progress": eighth}, {"task_id": "x", "progress": None}])
    change(root, 3, progress_by_task=[{"task_id": "x", "progress": eighth}, {"task_id": "x", "progress": eighth}])
    found = [(fault.id, fault.text) for fault in validate(root, "toy", options(root))]
    assert found == [
        ("a", "`progress_by_task` must name each task by its id, but has None"),
        ("b", "`progress_by_task[other][1]` must be in [0, 1], but is nan"),
        ("b", "`progress_by_task[other]` must have one value a frame (8), but has 2"),
        ("c", "`progress_by_task` must name other tasks than the row's own, but names `Do it`"),
        ("c", "`progress_by_task[x]` must be a list of numbers, but is None"),
        ("d", "`progress_by_task` must name each task once, but names `x` twice"),
    ]
    assert {fault.field for fault in validate(root, "toy", options(root))} == {"progress_by_task"}


def test_pictures_are_decoded_unless_that_is_left_out(tmp_path):
    from rfm.frames.npz.file import write_npz

    row = episode(tmp_path, "toy", "a")
    write_npz(tmp_path / row.frames, film(1), "jpeg")
    write_episodes(tmp_path, "toy", [row])
    file = tmp_path / row.frames
    data = bytearray(file.read_bytes())
    start = data.index(b"\xff\xd8")
    data[start : start + 2] = b"\0\0"
    file.write_bytes(bytes(data))
    assert faults(tmp_path) == [("a", "frames")]
    assert faults(tmp_path, headers_only=True) == []


def test_counts_and_shapes_are_fixed_and_all_else_stays(root, caplog):
    caplog.set_level(logging.INFO)
    change(root, 1, num_frames=None, frames_shape=[8, 1, 1, 3])
    before = load_from_disk(str(root / "toy" / "processed_dataset")).to_list()
    assert validate_command(options(root, fix="num_frames,frames_shape")) == 0
    assert "2 faults, 2 of them fixed" in caplog.text
    after = load_from_disk(str(root / "toy" / "processed_dataset")).to_list()
    assert after[1] == {**before[1], "num_frames": 8, "frames_shape": [8, 64, 64, 3]}
    assert [after[at] for at in (0, 2, 3)] == [before[at] for at in (0, 2, 3)]
    assert validate_command(options(root)) == 0
    assert len(load_catalog(root, ["toy"])) == 4


def test_columns_of_others_are_kept_and_nothing_they_name_is_opened(root, tmp_path):
    """A column of pictures names a pipe, which would hang whoever opened it."""
    os.mkfifo(tmp_path / "pipe.png")
    saved = root / "toy" / "processed_dataset"
    (file,) = saved.glob("*.arrow")
    table = pa.ipc.open_stream(file.read_bytes()).read_all()
    info = json.loads((saved / "dataset_info.json").read_text())
    info["features"]["thumb"] = {"_type": "Image"}
    named = [{"bytes": None, "path": str(tmp_path / "pipe.png")}] * len(table)
    table = table.append_column("thumb", pa.array(named, pa.struct({"bytes": pa.binary(), "path": pa.string()})))
    counts = table.column_names.index("num_frames")
    table = table.set_column(counts, "num_frames", pa.array([8, 99, 8, 8], table.schema.types[counts]))
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": info["features"]}})})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (saved / "dataset_info.json").write_text(json.dumps(info))
    assert validate_command(options(root, fix="num_frames")) == 0
    after = load_from_disk(str(saved))
    assert after.features["thumb"] == Image()
    assert after["num_frames"][:] == [8] * 4
    assert [one["path"] for one in after.data.column("thumb").to_pylist()] == [str(tmp_path / "pipe.png")] * 4


def test_what_is_fixed_is_only_what_was_asked_for(root):
    change(root, 1, num_frames=None, frames_shape=[8, 1, 1, 3])
    assert validate_command(options(root, fix="num_frames")) == 1
    assert faults(root) == [("b", "frames_shape")]


def test_episodes_that_show_the_same_are_reported(tmp_path):
    same = film(3)
    rows = [episode(tmp_path, "toy", name, same) for name in "ab"] + [episode(tmp_path, "toy", "c")]
    write_episodes(tmp_path, "toy", rows)
    found = validate(tmp_path, "toy", options(tmp_path))
    assert [(fault.id, fault.field, fault.text) for fault in found] == [("a", "near-duplicate", "shows the same as b")]
    assert faults(tmp_path, near_duplicates=False) == []


def test_wrong_options_say_what_is_possible(root):
    with pytest.raises(ConfigError, match="`fix` must name columns among num_frames, frames_shape, but names `task`"):
        options(root, fix="task")
    with pytest.raises(ConfigError, match=r"`datasets` must name datasets under .*, but `other` is none"):
        validate_command(options(root, "other"))
    with pytest.raises(ConfigError, match="`datasets_root` must be known"):
        validate_command(dataclasses.replace(options(root), datasets_root=None))
