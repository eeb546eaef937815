"""LeRobot datasets with rows and texts that public reports describe."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingested import rejections, rows, run, seen, there
from lerobot_marked import LEROBOT, SHOWN, WHOLE, edit_meta, edit_rows, shown, three
from robot_datasets import edit_table, write_lerobot


@pytest.mark.parametrize(
    ("name", "flags", "texts"),
    [
        ("v21_gr00t", ("--task_column", "annotation.human.action.task_description"), ["pick the pear"] * 3),
        ("v21_task_string", ("--task_column", "task"), ["wipe the table"] * 3),
        ("v21_subtasks", ("--tasks",), ["make tea", "make tea", "drink it"]),
        ("v21_subtasks", ("--task", "make tea"), ["make tea"] * 3),
    ],
)
def test_texts_that_stand_elsewhere(tmp_path: Path, name: str, flags: tuple[str, ...], texts: list[str]) -> None:
    listed = tmp_path / "tasks.csv"
    listed.write_text("episode,task\n0,make tea\n1,make tea\nv21_subtasks_000002,drink it\n")
    flags = (*flags, str(listed)) if flags == ("--tasks",) else flags
    assert run("lerobot", there(LEROBOT / name), tmp_path / "out", *flags) == 0
    assert list(seen(tmp_path / "out").values()) == list(zip(texts, WHOLE, strict=True))


def test_a_column_of_another_name_is_answered_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("lerobot", there(LEROBOT / "v21_gr00t"), tmp_path, "--task_column", "text") == 1
    said = capsys.readouterr().err
    assert "--task_column must name one of" in said
    assert "annotation.human.action.task_description" in said


def shuffle(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [table[at] for at in np.random.default_rng(3).permutation(len(table))]


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
@pytest.mark.parametrize("order", [shuffle, lambda table: table[::-1], lambda table: table[3:] + table[:3]])
def test_rows_in_any_order_come_in_by_frame_index(tmp_path: Path, kind: str, version: str, order: Any) -> None:
    root = write_lerobot(tmp_path / "set", three(), version, kind=kind, success=[True, False, True])
    edit_rows(root, order)
    assert run("lerobot", root, tmp_path / "out") == 0
    assert shown(tmp_path / "out") == SHOWN
    assert [row["quality_label"] for row in rows(tmp_path / "out")] == ["successful", "failure", "successful"]
    assert run("lerobot", root, tmp_path / "few", "--max_frames", "3") == 0
    assert shown(tmp_path / "few") == [[0, 2, 4], [50, 54, 58], [100, 102, 103]]


@pytest.mark.parametrize("kind", ["video", "image"])
def test_rows_without_frame_index_must_run_in_time(tmp_path: Path, kind: str) -> None:
    root = write_lerobot(tmp_path / "set", three(), "v2.1", kind=kind)
    edit_rows(root, lambda table: [row for row in table if row.pop("frame_index") is not None])
    assert run("lerobot", root, tmp_path / "a") == 0
    assert shown(tmp_path / "a") == SHOWN
    edit_table(root / "data" / "chunk-000" / "episode_000001.parquet", shuffle)
    assert run("lerobot", root, tmp_path / "b") == 1
    assert shown(tmp_path / "b") == [SHOWN[0], SHOWN[2]]
    (reason,) = rejections(tmp_path / "b").values()
    assert reason == "`timestamp` of episode 1 must ascend with its frames, but does not"


def test_frame_index_that_contradicts_itself_or_the_clock(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", three(), "v2.1", kind="image")
    edit_table(root / "data" / "chunk-000" / "episode_000000.parquet", lambda table: table[1].update(frame_index=0))
    path = root / "data" / "chunk-000" / "episode_000001.parquet"
    edit_table(path, lambda table: [row.update(frame_index=8 - at) for at, row in enumerate(table)][9:])
    assert run("lerobot", root, tmp_path / "out") == 1
    assert shown(tmp_path / "out") == SHOWN[2:]
    found = rejections(tmp_path / "out")
    assert "`frame_index` of episode 0 must differ in each row of data/chunk-000/" in found["set_000000"]
    assert "`timestamp` of episode 1 must ascend with its frames" in found["set_000001"]


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float64(), 1), pa.large_list(pa.int32())])
@pytest.mark.parametrize("name", ["timestamp", "episode_index", "frame_index", "task_index"])
def test_lists_of_one_of_every_type(tmp_path: Path, kind: pa.DataType, name: str) -> None:
    root = write_lerobot(tmp_path / "set", three(), fps=1)
    path = root / "data" / "chunk-000" / "file-000.parquet"
    table = pq.read_table(path)
    column = pa.array([[value] for value in table[name].to_pylist()], kind)
    pq.write_table(table.set_column(table.column_names.index(name), name, column), path)
    assert run("lerobot", root, tmp_path / "out") == 0
    assert shown(tmp_path / "out") == SHOWN


def test_episodes_whose_rows_lie_in_another_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_lerobot(tmp_path / "set", three(), kind="image")
    first = root / "data" / "chunk-000" / "file-000.parquet"
    table = pq.read_table(first)
    parts = [table.filter(pa.compute.equal(table["episode_index"], at)) for at in range(3)]
    for at, of in ((0, [2]), (1, [0]), (4, [1])):
        pq.write_table(pa.concat_tables([parts[one] for one in of]), first.with_name(f"file-{at:03d}.parquet"))
    assert run("lerobot", root, tmp_path / "out") == 0
    assert shown(tmp_path / "out") == SHOWN
    assert "set_000001: its rows lie in data/chunk-000/file-004.parquet" in caplog.text
    pq.write_table(pa.concat_tables(parts[:2]), first.with_name("file-001.parquet"))
    assert run("lerobot", root, tmp_path / "twice") == 1
    assert shown(tmp_path / "twice") == [SHOWN[0], SHOWN[2]]
    (reason,) = rejections(tmp_path / "twice").values()
    assert "must lie in one file, but lie in data/chunk-000/file-001.parquet, data/chunk-000/file-004.parquet" in reason


def test_texts_of_the_metadata_where_rows_have_none(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", three(), tasks=[1, 0, 1])
    edit_rows(root, lambda table: [row for row in table if row.pop("task_index") is not None])
    assert run("lerobot", root, tmp_path / "a") == 0
    assert [text for text, _ in seen(tmp_path / "a").values()] == ["do thing 1", "do thing 0", "do thing 1"]
    edit_meta(root, tasks=[["x", "y"], [" "], ["z", ""]])
    assert run("lerobot", root, tmp_path / "b") == 1
    assert [text for text, _ in seen(tmp_path / "b").values()] == ["z"]
    found = rejections(tmp_path / "b")
    assert "must have one task, but has 2" in found["set_000000"]
    assert "must have an instruction, but has none" in found["set_000001"]


def test_annotations_are_numbers_of_tasks_and_other_numbers_are_none(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", three(), tasks=[1, 0, 1])
    name = "annotation.language"
    edit_rows(
        root, lambda table: [row.update({name: [row["episode_index"]], "subtask_index": 0}) for row in table][99:]
    )
    assert run("lerobot", root, tmp_path / "a", "--task_column", name) == 1
    assert [text for text, _ in seen(tmp_path / "a").values()] == ["do thing 0", "do thing 1"]
    assert f"`{name}` of episode 2 must be a text, but is int" in rejections(tmp_path / "a")["set_000002"]
    assert run("lerobot", root, tmp_path / "b", "--task_column", "subtask_index") == 1
    assert "`subtask_index` of episode 0 must be a text, but is int" in rejections(tmp_path / "b")["set_000000"]
    labels = ("--label_column", name, "--success_pattern", "thing 1$", "--failure_pattern", "thing 0$")
    assert run("lerobot", root, tmp_path / "c", *labels) == 1
    assert [row["quality_label"] for row in rows(tmp_path / "c")] == ["failure", "successful"]
