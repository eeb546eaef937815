import time
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rfm.errors import ConfigError, DataError
from rfm.frames.npz.file import write_npz
from rfm.trajectories.catalog import Catalog, load_catalog, resolve_root
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset


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


def save_foreign(root: Path, key: str, **columns: list[object]) -> None:
    """A dataset as other tools write it, with whatever columns they have."""
    count = len(columns["id"])
    filled = {"task": ["a task"] * count, "frames": [f"{key}/{name}.npz" for name in columns["id"]]} | columns
    datasets.Dataset.from_dict(filled).save_to_disk(root / key / "processed_dataset")


def catalog_of(root: Path, *rows: Trajectory) -> Catalog:
    write_processed_dataset(root / "sim", rows)
    return load_catalog(root, ["sim"])


def task_of(catalog: Catalog) -> list[str]:
    return [catalog.tasks[code].as_py() for code in catalog.task_code]


def test_columns(tmp_path: Path) -> None:
    catalog = catalog_of(
        tmp_path,
        trajectory("a", quality_label="failure", partial_success=0.5, progress=(0.25, 0.5)),
        trajectory("b", quality_label="successful", partial_success=0.0, is_robot=False, data_source="real"),
        trajectory("c", progress=(0.0, 1.0)),
    )
    assert len(catalog) == 3
    assert catalog.ids.to_pylist() == ["a", "b", "c"]
    assert catalog.quality.tolist() == [0, 2, -1]
    np.testing.assert_array_equal(catalog.partial_success, np.float32([0.5, np.nan, np.nan]))
    assert catalog.is_robot.tolist() == [True, False, True]
    assert catalog.sources.to_pylist() == ["sim", "real"]
    assert catalog.source_code.tolist() == [0, 1, 0]
    assert catalog.frames_shape.tolist() == [[2, 8, 8, 3]] * 3
    assert catalog.num_frames.tolist() == [2, 2, 2]
    assert catalog.has_progress.tolist() == [True, False, True]
    assert catalog.progress_offsets.tolist() == [0, 2, 2, 4]
    assert catalog.progress_values.tolist() == [0.25, 0.5, 0.0, 1.0]
    assert catalog.unreadable == ()


def test_tasks_group_by_id_and_else_by_wording(tmp_path: Path) -> None:
    catalog = catalog_of(
        tmp_path,
        trajectory("a", task="Open the drawer", task_id="drawer-open"),
        trajectory("b", task="pull the drawer out", task_id="drawer-open"),
        trajectory("c", task="open the DRAWER!"),
        trajectory("d", task="Close it", task_id="drawer-close"),
        trajectory("e", task="Close it", task_id="box-close"),
        trajectory("f", task="push a button"),
        trajectory("g", task="Push a button."),
        trajectory("h", task="close it"),
    )
    assert task_of(catalog) == [
        *["drawer-open"] * 3,
        "drawer-close",
        "box-close",
        *["push a button"] * 2,
        "box-close",
    ]
    assert catalog.texts[catalog.text_code[6]].as_py() == "Push a button."


def test_several_datasets_load_in_order(tmp_path: Path) -> None:
    write_processed_dataset(tmp_path / "org_one", [trajectory("a")])
    write_processed_dataset(tmp_path / "two", [trajectory("b")])
    catalog = load_catalog(tmp_path, ["two", "org/one"])
    assert catalog.keys == ("two", "org/one")
    assert catalog.ids.to_pylist() == ["b", "a"]


def test_missing_key_names_those_there(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_processed_dataset(tmp_path / name, [trajectory(name)])
    with pytest.raises(ConfigError) as caught:
        load_catalog(tmp_path, ["three"])
    assert str(caught.value) == (
        f"dataset key `three` must name a dataset under {tmp_path}, but those there are: `one`, `two`; "
        "name them by data.train_datasets=… or data.eval_datasets=…"
    )


def test_ids_repeated_across_datasets(tmp_path: Path) -> None:
    write_processed_dataset(tmp_path / "one", [trajectory("a"), trajectory("b")])
    write_processed_dataset(tmp_path / "two", [trajectory("c"), trajectory("b")])
    with pytest.raises(DataError) as caught:
        load_catalog(tmp_path, ["one", "two"])
    assert str(caught.value) == (
        "`id` must differ in every row of the datasets loaded together, but `b` is in row 1 of `one` and in row 1 of "
        "`two` (1 repeated in all)"
    )


def test_unknown_quality_label_names_the_row(tmp_path: Path) -> None:
    save_foreign(tmp_path, "wild", id=["a", "b"], quality_label=["optimal", "superb"], num_frames=[1, 1])
    with pytest.raises(DataError, match=r"`quality_label` in row 1 of `wild` must be one of .*, but is `superb`"):
        load_catalog(tmp_path, ["wild"])


def test_frame_counts_come_from_the_header_and_are_never_invented(tmp_path: Path) -> None:
    save_foreign(tmp_path, "wild", id=["a", "b", "c"], is_robot=[True, None, False])
    for name, form in (("a", "compressed"), ("c", "jpeg")):
        write_npz(tmp_path / "wild" / f"{name}.npz", np.zeros((5, 4, 6, 3), np.uint8), form)
    catalog = load_catalog(tmp_path, ["wild"])
    assert catalog.ids.to_pylist() == ["a", "c"]
    assert catalog.frames_shape.tolist() == [[5, 4, 6, 3]] * 2
    assert catalog.sources.to_pylist() == ["wild"]
    assert catalog.unreadable == (f"b: frames file {tmp_path}/wild/b.npz must exist, but does not",)


def test_rows_that_contradict_themselves_are_named_and_left_out(tmp_path: Path) -> None:
    save_foreign(
        tmp_path,
        "wild",
        id=["a", "b", "c", "d", "e"],
        task=["fine", " ", "fine", "fine", "fine"],
        num_frames=[2] * 5,
        frames_shape=[[2, 8, 8, 3]] * 5,
        progress=[[0.0, 1.0], [0.0, 1.0], [0.5], [0.0, 1.5], None],
        partial_success=[None, None, None, None, 7.0],
    )
    catalog = load_catalog(tmp_path, ["wild"])
    assert catalog.ids.to_pylist() == ["a"]
    assert catalog.texts.to_pylist() == ["fine"]
    assert catalog.progress_values.tolist() == [0.0, 1.0]
    assert catalog.unreadable == (
        "b: `task` must not be empty",
        "c: `progress` must have one value a frame (2), but has 1",
        "d: `progress` must be in [0, 1] at every frame, but is not",
        "e: `partial_success` must be in [0, 1] or null, but is 7.0",
    )


def test_absolute_paths_only_under_the_root(tmp_path: Path) -> None:
    inside = str(tmp_path / "wild" / "a.npz")
    known = {"num_frames": [1, 1], "frames_shape": [[1, 2, 2, 3]] * 2}
    save_foreign(tmp_path, "wild", id=["a", "b"], frames=[inside, "wild/x/../b.npz"], **known)
    assert load_catalog(tmp_path, ["wild"]).frames_path.to_pylist() == ["wild/a.npz", "wild/b.npz"]
    for at, path in enumerate(("/etc/passwd.npz", "wild/../../x.npz", f"{tmp_path}-other/x.npz")):
        save_foreign(tmp_path, f"bad{at}", id=["a", "b"], frames=["a.npz", path], **known)
        with pytest.raises(DataError, match=rf"`frames` in row 1 of `bad{at}` must lie under the datasets root"):
            load_catalog(tmp_path, [f"bad{at}"])


def test_select_is_the_catalog_of_the_rest(tmp_path: Path) -> None:
    rows = [trajectory(str(at), task=f"task {at % 3}", progress=(0.0, at / 9) if at % 2 else None) for at in range(9)]
    whole = catalog_of(tmp_path, *rows)
    chosen = whole.select(np.arange(9) % 3 == 1)
    alone = catalog_of(tmp_path, *rows[1::3])
    assert chosen.ids == alone.ids
    assert chosen.texts == alone.texts
    assert chosen.tasks == alone.tasks
    np.testing.assert_array_equal(chosen.progress_offsets, alone.progress_offsets)
    np.testing.assert_array_equal(chosen.progress_values, alone.progress_values)
    with pytest.raises(ValueError, match=r"one value a trajectory \(9\)"):
        whole.select(np.ones(3, dtype=bool))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    progress=st.lists(st.one_of(st.none(), st.floats(0, 1, width=32)), min_size=1, max_size=8),
    data=st.data(),
)
def test_select_keeps_each_row_whole(tmp_path: Path, progress: list[float | None], data: st.DataObject) -> None:
    rows = [
        trajectory(str(at), task=f"t{at % 2}", progress=None if end is None else (0.0, end))
        for at, end in enumerate(progress)
    ]
    whole = catalog_of(tmp_path, *rows)
    order = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    chosen = whole.select(order)
    for place, at in enumerate(order):
        start, stop = chosen.progress_offsets[place : place + 2]
        assert tuple(chosen.progress_values[start:stop].tolist()) == (rows[at].progress or ())
        assert chosen.texts[chosen.text_code[place]].as_py() == rows[at].task
        assert chosen.ids[place].as_py() == rows[at].id


def test_loading_is_columnar(tmp_path: Path) -> None:
    count = 45_000
    columns = {
        "id": [f"t{at}" for at in range(count)],
        "task": [f"task {at % 500}" for at in range(count)],
        "num_frames": [32] * count,
        "frames_shape": [[32, 8, 8, 3]] * count,
    }
    save_foreign(tmp_path, "big", **columns)  # type: ignore[arg-type]
    start = time.perf_counter()
    catalog = load_catalog(tmp_path, ["big"])
    assert len(catalog.tasks) == 500
    assert time.perf_counter() - start < 2.0


def test_resolve_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RFM_PROCESSED_DATASETS_PATH", raising=False)
    assert resolve_root(None) is None
    monkeypatch.setenv("RFM_PROCESSED_DATASETS_PATH", str(tmp_path))
    assert resolve_root(None) == tmp_path
    (tmp_path / "argument").mkdir()
    assert resolve_root(str(tmp_path / "argument")) == tmp_path / "argument"
    with pytest.raises(
        ConfigError, match=r"`data.datasets_root` must name a folder of processed datasets, but is `/no`"
    ):
        resolve_root("/no")
