import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robot_datasets import moving_square, write_roboreward

from rfm.errors import ConfigError
from rfm.frames.reader import read_frames
from rfm.ingest.sources.roboreward import IngestRoboRewardOptions, ingest_roboreward_command
from rfm.trajectories.store import read_columns

ONE, TWO, THREE = (moving_square(count, count) for count in (5, 6, 7))
COLUMNS = (
    "id",
    "task",
    "quality_label",
    "partial_success",
    "split",
    "preference_group_id",
    "preference_rank",
    "frames",
)


def ingest(path: Path, output: Path, **options: Any) -> int:
    return ingest_roboreward_command(IngestRoboRewardOptions(path=str(path), output=str(output), **options))


def rows(output: Path, source: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in read_columns(output / source, COLUMNS).to_pylist()}


def reasons(output: Path, source: str) -> dict[str, str]:
    lines = (output / source / "rejected.jsonl").read_text().splitlines()
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def test_rewards_become_partial_success_and_counterfactuals_stay_together(tmp_path: Path) -> None:
    videos = {
        "bridge/a.mp4": ONE,
        "bridge/a_1.mp4": ONE,
        "bridge/a_2.mp4": ONE,
        "bridge/b.mp4": TWO,
        "robo_arena/c.mp4": THREE,
    }
    write_roboreward(
        tmp_path / "in" / "train",
        [
            ("bridge/a.mp4", "put the cup down", 5),
            ("bridge/a_1.mp4", "put the spoon down", 1),
            ("bridge/a_2.mp4", "put the cup down, handle left", 4),
            ("bridge/b.mp4", "fold the cloth", 3),
            ("robo_arena/c.mp4", "stack", 2),
        ],
        videos,
    )
    assert ingest(tmp_path / "in", tmp_path / "out") == 0
    bridge, arena = (rows(tmp_path / "out", f"roboreward_train_{name}") for name in ("bridge", "robo_arena"))
    assert [row["partial_success"] for row in (*bridge.values(), *arena.values())] == [1.0, 0.0, 0.75, 0.5, 0.25]
    assert [row["quality_label"] for row in bridge.values()] == ["successful"] + ["failure"] * 3
    assert [row["preference_rank"] for row in bridge.values()] == [1, 3, 2, None]
    groups = [row["preference_group_id"] for row in bridge.values()]
    assert groups[0] == groups[1] == groups[2]
    assert groups[0] is not None
    assert groups[3] is None
    assert {row["split"] for row in bridge.values()} == {"train"}
    row = bridge["roboreward_train_bridge/b"]
    assert (row["task"], np.array_equal(read_frames(tmp_path / "out", row["frames"], range(6)), TWO)) == (
        "fold the cloth",
        True,
    )


def test_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_roboreward(tmp_path / "in" / split, [("s/a.mp4", "t", 5)], {"s/a.mp4": ONE})
    assert ingest(tmp_path / "in", tmp_path / "both") == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["roboreward_train_s", "roboreward_val_s"]
    assert ingest(tmp_path / "in", tmp_path / "one", split="val", data_source="rr") == 0
    assert list(rows(tmp_path / "one", "rr")) == ["roboreward_val_s/a"]
    assert ingest(tmp_path / "in" / "val", tmp_path / "two") == 0
    with pytest.raises(ConfigError, match=r"must have a metadata.jsonl in each split, but there is no .*test/metadata"):
        ingest(tmp_path / "in", tmp_path / "three", split="test")
    with pytest.raises(ConfigError, match=r"--split test must be a folder in .*, but that is a split itself"):
        ingest(tmp_path / "in" / "val", tmp_path / "three", split="test")


def test_faulty_lines_leave_the_others_alone(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    write_roboreward(
        folder,
        [
            ("s/a.mp4", "t", 5),
            ("s/gone.mp4", "t", 1),
            ("s/cut.mp4", "t", 2),
            ("../secret.mp4", "t", 3),
            ("s/link.mp4", "t", 3),
            ("s/a.mp4", "t", 4),
            ("s/b.mp4", "t", 6),
            ("s/b.mp4", "t", 2.5),
            ("s/b.mp4", "", 2),
            ("s/b.mp4", "last", 3),
        ],
        {"s/a.mp4": ONE, "s/cut.mp4": TWO, "s/b.mp4": THREE, "../secret.mp4": ONE},
    )
    (folder / "s" / "cut.mp4").write_bytes((folder / "s" / "cut.mp4").read_bytes()[:900])
    (folder / "s" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    nameless = json.dumps({"file_name": ".", "task": "t", "reward": 1})
    (folder / "metadata.jsonl").open("a").write(f"{{broken\n[]\n{nameless}\n")
    assert ingest(folder, tmp_path / "out", data_source="rr") == 1
    assert [row["task"] for row in rows(tmp_path / "out", "rr").values()] == ["t", "last"]
    found = reasons(tmp_path / "out", "rr")
    expected = {
        "s/gone": "must exist, but does not",
        "s/cut": "must be readable, but decoding it gives",
        "line_4": "`file_name` must lie in the dataset's folder",
        "line_5": "`file_name` must lie in the dataset's folder",
        "s/a": "`id` must differ in every episode of an ingest",
        "line_7": "`reward` must be a whole number from 1 to 5, but is `6`",
        "line_8": "`reward` must be a whole number from 1 to 5, but is `2.5`",
        "line_9": "`task` must be set, but is ``",
        "line_11": "must be JSON",
        "line_12": "must be a JSON object, but is list",
        "line_13": "`file_name` must name a video, but is `.`",
    }
    assert set(found) == {f"roboreward_train_{name}" for name in expected}
    for name, text in expected.items():
        assert text in found[f"roboreward_train_{name}"]
