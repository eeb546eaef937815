import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest

from rfm.errors import DataError
from rfm.trajectories.other_tasks import by_task, from_column
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import SCHEMA, read_columns, write_processed_dataset


def trajectory(name: str, **changes: object) -> Trajectory:
    values: dict[str, object] = {
        "id": name,
        "task": "open the drawer",
        "data_source": "sim",
        "frames": f"sim/frames/trajectory_{name}.npz",
        "frames_shape": (2, 8, 8, 3),
        "num_frames": 2,
    }
    return Trajectory(**(values | changes))  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_datasets_reads_what_is_written(tmp_path: Path) -> None:
    rows = [trajectory("a", quality_label="optimal", progress=(0.25, 1.0), task_id="drawer"), trajectory("b")]
    saved = write_processed_dataset(tmp_path / "sim", rows)
    read = datasets.load_from_disk(str(saved))
    assert read.column_names == SCHEMA.names
    assert read[0]["quality_label"] == "successful"
    assert read[0]["frames_shape"] == [2, 8, 8, 3]
    assert read[0]["progress"] == [0.25, 1.0]
    assert read[1]["task_id"] is None
    assert read[1]["progress"] is None
    assert read.filter(lambda row: row["id"] == "b").num_rows == 1


def test_lists_are_declared_in_the_words_of_every_version(tmp_path: Path) -> None:
    saved = write_processed_dataset(tmp_path / "sim", [trajectory("a")])
    features = json.loads((saved / "dataset_info.json").read_text())["features"]
    assert features["progress"] == {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    assert features["is_robot"] == {"dtype": "bool", "_type": "Value"}


def test_progress_towards_other_tasks_is_a_list_of_structs(tmp_path: Path) -> None:
    known = by_task({"window-open": (1.0, 0.75), "door": (0.0, 0.0)})
    rows = [trajectory("a", progress_by_task=known), trajectory("b"), trajectory("c", progress_by_task=())]
    saved = write_processed_dataset(tmp_path / "sim", rows)
    held = [
        [{"task_id": "window-open", "progress": [1.0, 0.75]}, {"task_id": "door", "progress": [0.0, 0.0]}],
        None,
        [],
    ]
    read = read_columns(tmp_path / "sim", ("progress_by_task",))["progress_by_task"]
    assert str(read.type) == "list<item: struct<task_id: string, progress: list<item: float>>>"
    assert read.to_pylist() == held
    assert [from_column(one) for one in held] == [known, None, ()]
    assert list(datasets.load_from_disk(str(saved))["progress_by_task"]) == held
    assert json.loads((tmp_path / "sim" / "dataset_info.json").read_text())["with_progress_by_task"] == 2


def test_progress_towards_other_tasks_of_other_writers(tmp_path: Path) -> None:
    rows = {"id": ["a"], "task": ["b"], "frames": ["c"], "progress_by_task": [[{"progress": [0.5], "task_id": "x"}]]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "one" / "processed_dataset")
    read = read_columns(tmp_path / "one", ("progress_by_task",))["progress_by_task"]
    assert read.to_pylist() == [[{"task_id": "x", "progress": [0.5]}]]
    rows["progress_by_task"] = [{"x": [0.5]}]
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "two" / "processed_dataset")
    with pytest.raises(DataError, match=r"`progress_by_task` in .* must be list<.*, but is struct<x: list<.*double>>"):
        read_columns(tmp_path / "two", ("progress_by_task",))


def test_same_rows_same_bytes_and_nothing_left_over(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_processed_dataset(tmp_path / name, [trajectory("old")])
        write_processed_dataset(tmp_path / name, [trajectory("a"), trajectory("b", quality_label="failed")])
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["dataset_info.json", "processed_dataset"]
    summary = json.loads((tmp_path / "one" / "dataset_info.json").read_text())
    assert summary["num_trajectories"] == 2
    assert summary["quality_labels"] == {"failure": 1, "unknown": 1}


def test_a_failed_write_leaves_the_old_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_processed_dataset(tmp_path, [trajectory("a")])
    before = files(tmp_path / "processed_dataset")

    def break_off(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("rfm.trajectories.store._save", break_off)
    with pytest.raises(OSError, match="disk full"):
        write_processed_dataset(tmp_path, [trajectory("b")])
    assert files(tmp_path / "processed_dataset") == before
    assert not list(tmp_path.glob(".*"))


def test_reads_shards_of_other_writers_with_other_types(tmp_path: Path) -> None:
    rows = {
        "id": [1, 2, 3],
        "task": ["a", "b", "c"],
        "frames": ["x.npz", "y.npz", "z.npz"],
        "frames_shape": [[4, 8, 8, 3]] * 3,
        "num_frames": [4, 4, 4],
        "lang_vector": [[0.0] * 3] * 3,
    }
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "processed_dataset", num_shards=2)
    table = read_columns(tmp_path, ("id", "num_frames", "frames_shape", "progress"))
    assert table["id"].to_pylist() == ["1", "2", "3"]
    assert table["num_frames"].type == pa.int32()
    assert table["frames_shape"].to_pylist() == [[4, 8, 8, 3]] * 3
    assert table["progress"].null_count == 3


def test_missing_column_is_named(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"id": ["a"], "task": ["b"]}).save_to_disk(tmp_path / "processed_dataset")
    with pytest.raises(DataError, match=r"must have the columns id, task, frames, but lacks frames: it has id, task"):
        read_columns(tmp_path, ("id",))


def test_wrong_type_is_named(tmp_path: Path) -> None:
    rows = {"id": ["a"], "task": ["b"], "frames": ["c"], "num_frames": ["many"]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "processed_dataset")
    with pytest.raises(DataError, match=r"`num_frames` in .* must be int32, but is string"):
        read_columns(tmp_path, ("num_frames",))


def test_broken_arrow_file_is_named(tmp_path: Path) -> None:
    saved = write_processed_dataset(tmp_path, [trajectory("a")])
    (saved / "data-00000-of-00001.arrow").write_bytes(b"not arrow at all")
    with pytest.raises(DataError, match=r"data-00000-of-00001.arrow must be a readable arrow stream"):
        read_columns(tmp_path, ("id",))


@pytest.mark.parametrize(("value", "said"), [(2**30, "out of bounds"), (-7, "non-monotonic offset")])
def test_damaged_offsets_are_named_before_anything_follows_them(tmp_path: Path, value: int, said: str) -> None:
    rows = [trajectory(name, task=f"task of {name}") for name in "abc"]
    file = write_processed_dataset(tmp_path, rows) / "data-00000-of-00001.arrow"
    whole, offsets = file.read_bytes(), np.array([0, 9, 18, 27], np.int32).tobytes()  # of the tasks
    assert whole.count(offsets) == 1
    damaged = np.array([0, 9, value, 27], np.int32).tobytes()
    file.write_bytes(whole.replace(offsets, damaged))
    with pytest.raises(DataError, match=rf"`task` in .*\.arrow must be a sound arrow column, but is damaged .*{said}"):
        read_columns(tmp_path, ("id", "task"))
    assert read_columns(tmp_path, ("id",))["id"].to_pylist() == ["a", "b", "c"], "columns not asked for do no harm"


def test_text_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    file = write_processed_dataset(tmp_path, [trajectory("a", task="plain words")]) / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes().replace(b"plain words", b"pl\xffin words"))
    with pytest.raises(DataError, match=r"`task` in .* is damaged .*[Ii]nvalid UTF8"):
        read_columns(tmp_path, ("task",))


def test_several_splits_are_refused(tmp_path: Path) -> None:
    part = datasets.Dataset.from_dict({"id": ["a"], "task": ["b"], "frames": ["c"]})
    datasets.DatasetDict({"train": part, "test": part}).save_to_disk(tmp_path / "processed_dataset")
    with pytest.raises(DataError, match="must be one dataset, but holds several splits"):
        read_columns(tmp_path, ("id",))
