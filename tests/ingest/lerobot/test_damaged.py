"""What is wrong with a LeRobot dataset costs the episodes it is about, with a reason."""

import json
import re
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_ingested import (
    EPISODES,
    FRONT,
    change_episodes,
    change_frames,
    frames_of,
    ingest,
    reasons,
    rows,
    set_value,
)
from robot_datasets import declared, png, write_lerobot

from rfm.errors import DataError

START, END = f"videos/{FRONT}/from_timestamp", f"videos/{FRONT}/to_timestamp"


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (
            lambda root: change_episodes(root, set_value(1, f"videos/{FRONT}/file_index", 9)),
            r"video .*file-009.mp4 must exist, but does not",
        ),
        (
            lambda root: change_episodes(root, set_value(1, "data/file_index", 9)),
            r"file-009.parquet must exist, but does not",
        ),
        (
            lambda root: change_episodes(
                root, lambda rows: (set_value(1, START, 90.0)(rows), set_value(1, END, 91.0)(rows))[2:]
            ),
            r"video .*file-000.mp4 from 90.0000 to 91.0000 s must have pictures, but has none",
        ),
        (
            lambda root: change_episodes(root, set_value(1, END, 1.0)),
            "from 0.5000 to 1.0000 s must have a picture within 0.1001 s of each row, but the nearest of its 5 is "
            "0.2000 s from row 6: --tolerance allows for more",
        ),
        (
            lambda root: change_episodes(root, set_value(1, "length", 0)),
            "`length` of episode 1 must be at least 1, but is 0",
        ),
        (
            lambda root: change_episodes(root, set_value(1, "length", 3 * 10**9)),
            r"`length` of episode 1 must be the number of its frames \(9\), but is 3000000000",
        ),
        (
            lambda root: change_frames(root, set_value(1, "task_index", 12)),
            "`task_index` of episode 1 must be one of the 1 tasks in meta/, but is 12",
        ),
        (
            lambda root: change_frames(root, lambda rows: rows[5].update(task_index=None)),
            "`task_index` of episode 1 must be one of the 1 tasks in meta/, but is None",
        ),
        (
            lambda root: change_frames(root, lambda rows: rows[8].update(timestamp=0.0)),
            "`timestamp` of episode 1 must ascend with its frames, but does not",
        ),
        (
            lambda root: change_frames(root, lambda rows: rows[8].update(timestamp=float("nan"))),
            "`timestamp` of episode 1 must ascend with its frames, but does not",
        ),
        (
            lambda root: change_frames(root, lambda rows: [row for row in rows if row["episode_index"] != 1]),
            "must hold the frames of episode 1, but does not",
        ),
        (
            lambda root: change_episodes(root, set_value(1, f"videos/{FRONT}/chunk_index", None)),
            "episode 1 must be described in meta/, but reading that gives: TypeError",
        ),
        (
            lambda root: change_episodes(
                root, lambda rows: [row.update(length=[5.0, inf, 4.0][at]) for at, row in enumerate(rows)][3:]
            ),
            "episode 1 must be described in meta/, but reading that gives: OverflowError",
        ),
    ],
)
def test_a_faulty_episode_leaves_the_others_alone(
    tmp_path: Path, break_it: Callable[[Path], None], reason: str
) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES)
    break_it(root)
    assert ingest(root, tmp_path / "out") == 1
    found = rows(tmp_path / "out", "set")
    assert [row["id"] for row in found] == ["set_000000", "set_000002"]
    assert np.array_equal(frames_of(tmp_path / "out", found[1]), EPISODES[2])
    (text,) = [text for name, text in reasons(tmp_path / "out", "set").items() if not name.endswith("_missing")]
    assert re.search(reason, text), text


def test_repeated_and_missing_episodes(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES)
    change_episodes(root, lambda rows: [rows[0], rows[0], rows[2]])
    ingest(root, tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    assert reasons(tmp_path / "out", "set") == {
        "set_missing": "meta/episodes must list the 3 episodes that `total_episodes` in meta/info.json counts, but "
        "lacks 1: 1",
        "set_000000": "`id` must differ in every episode of an ingest, but `set_000000` repeats",
    }


def test_a_truncated_video_rejects_the_episodes_it_lost(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "videos" / "chunk-000" / FRONT / "episode_000001.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert ingest(root, tmp_path / "out") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    assert "must be readable, but decoding it gives" in reasons(tmp_path / "out", "set")["set_000001"]


def test_paths_do_not_leave_the_dataset(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "videos" / "chunk-000" / FRONT / "episode_000001.mp4"
    path.rename(tmp_path / "elsewhere.mp4")
    path.symlink_to(tmp_path / "elsewhere.mp4")
    ingest(root, tmp_path / "out")
    assert "`video_path` must lie in the dataset's folder" in reasons(tmp_path / "out", "set")["set_000001"]
    info = (root / "meta" / "info.json").read_text()
    (root / "meta" / "info.json").write_text(info.replace('"data/chunk', '"../data/chunk'))
    ingest(root, tmp_path / "out2")
    assert len(reasons(tmp_path / "out2", "set")) == 3
    assert "`data_path` must lie in the dataset's folder" in reasons(tmp_path / "out2", "set")["set_000002"]


def test_pictures_that_are_none(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, kind="image")
    huge = declared(png(EPISODES[0][0]), 32_000)

    def change(table: list[dict[str, Any]]) -> None:
        table[0][FRONT] = {"bytes": huge, "path": None}
        table[6][FRONT] = {"bytes": None, "path": "../secret.png"}
        table[15][FRONT] = {"bytes": b"no picture", "path": None}

    change_frames(root, change)
    assert ingest(root, tmp_path / "out") == 1
    found = reasons(tmp_path / "out", "set")
    assert f"`{FRONT}` in row 0 of" in found["set_000000"]
    assert "decoding it gives: Image size (1024000000 pixels) exceeds limit" in found["set_000000"]
    assert "must lie in the dataset's folder" in found["set_000001"]
    assert "must be a JPEG or PNG picture, but decoding it gives" in found["set_000002"]


def test_rows_that_take_no_space_take_no_memory(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "data" / "chunk-000" / "episode_000001.parquet"
    count = 3_000_000
    columns = {"episode_index": 1, "task_index": 0, "timestamp": 0.0}
    pq.write_table(pa.table({name: pa.repeat(value, count) for name, value in columns.items()}), path)
    assert path.stat().st_size < 50_000
    ingest(root, tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    assert "rows for its size, but declares 3000000" in reasons(tmp_path / "out", "set")["set_000001"]


def test_pictures_that_are_not_recorded(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, kind="image")
    change_frames(root, lambda table: [row for row in table if row.pop(FRONT)])
    assert ingest(root, tmp_path / "out") == 1
    assert f"must have a column `{FRONT}`, but has none" in reasons(tmp_path / "out", "set")["set_000000"]


def test_files_that_are_no_parquet(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.0")
    (root / "data" / "chunk-000" / "episode_000001.parquet").write_bytes(b"PAR1" * 40)
    (root / "meta" / "episodes.jsonl").open("a").write("[1]\n")
    ingest(root, tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    found = reasons(tmp_path / "out", "set")
    assert "must be a readable parquet file, but reading it gives" in found["set_000001"]
    assert "line 4 must be a JSON object, but is a list" in found["set_entry_3"]


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("total_episodes", "many", "`total_episodes` in .* must be a whole number from 0 on, but is 'many'"),
        ("total_episodes", [1], r"`total_episodes` in .* must be a whole number from 0 on, but is \[1\]"),
        ("total_episodes", 1.5, "`total_episodes` in .* must be a whole number from 0 on, but is 1.5"),
        ("chunks_size", "x", "`chunks_size` in .* must be at least 1, but is x"),
    ],
)
def test_values_of_another_kind_in_the_description(tmp_path: Path, key: str, value: Any, fault: str) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    info = root / "meta" / "info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {key: value}))
    with pytest.raises(DataError, match=fault):
        ingest(root, tmp_path / "out")


@pytest.mark.parametrize("key", ["data_path", "video_path"])
def test_a_path_that_no_file_can_have_costs_its_episodes_alone(tmp_path: Path, key: str) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    info = root / "meta" / "info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {key: "a\0b"}))
    assert ingest(root, tmp_path / "out") == 1
    fault = f"`{key}` must be the name of a file, but no file can be called"
    assert fault in str(reasons(tmp_path / "out", "set"))


@pytest.mark.parametrize("name", ["timestamp", "episode_index", "task_index"])
@pytest.mark.parametrize(
    "value", ["x", [1, 2], {"a": 1}, b"\xff", True, float("nan"), []], ids=lambda value: type(value).__name__
)
def test_columns_of_another_kind_cost_their_file_alone(tmp_path: Path, name: str, value: Any) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "data" / "chunk-000" / "episode_000001.parquet"
    table = pq.read_table(path)
    column = pa.array([value] * len(table))
    pq.write_table(table.set_column(table.column_names.index(name), name, column), path)
    assert ingest(root, tmp_path / "out") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    assert name in str(reasons(tmp_path / "out", "set")["set_000001"])
