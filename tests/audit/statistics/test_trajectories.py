"""`rfm stats` of trajectory datasets."""

import json
from pathlib import Path

import pytest
from films import episode, write_episodes
from robot_datasets import moving_square, write_video
from worlds import make_world

from rfm.audit.statistics.command import StatisticsOptions, statistics
from rfm.audit.statistics.trajectories import gather_trajectories, scene_line
from rfm.cli import run_command
from rfm.errors import ConfigError, DataError


def test_what_is_known_of_trajectories_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_world(tmp_path, "toy", episodes=8, frames=4, scene="table")
    found = gather_trajectories(str(tmp_path / "toy"))
    assert (found.trajectories, found.frames) == (8, 32)
    assert found.scenes == {"table": 8}
    assert found.qualities == {"successful": 4, "suboptimal": 2, "failure": 2}
    assert found.tasks == {"move the square right": 4, "move the square down": 4}
    assert (found.with_progress, found.with_progress_by_task, found.with_frame_times) == (8, 8, 0)
    statistics(StatisticsOptions(datasets=(str(tmp_path / "toy"),), output_path=str(tmp_path / "stats.json")))
    shown = capsys.readouterr().out
    assert "toy: 8 trajectories with 32 frames" in shown
    assert "8 of 8 trajectories have a scene, 1 in all; the dataset does not say by which rule" in shown
    assert "progress towards other tasks of 8, times of frames of 0 of 8" in shown
    (written,) = json.loads((tmp_path / "stats.json").read_text())["datasets"]
    assert written["scenes"] == {"table": 8}


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("none", "1 of 3 trajectories have a scene, 1 in all: 1 as recorded"),
        ("source", "3 of 3 trajectories have a scene, 2 in all: 2 by --scene source, 1 as recorded"),
        ("episode", "3 of 3 trajectories have a scene, 3 in all: 2 by --scene episode, 1 as recorded"),
    ],
)
def test_the_rule_of_the_ingest_is_said(tmp_path: Path, rule: str, line: str) -> None:
    rows: list[dict[str, str]] = [{"path": f"{name}.mp4", "task": "do it"} for name in "abc"]
    rows[0]["scene_id"] = "hall"
    for row in rows:
        write_video(tmp_path / "in" / row["path"], moving_square(4))
    (tmp_path / "in" / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flags = [str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--scene", rule]
    assert run_command(("ingest", "videos"), flags, "rfm ingest videos") == 0
    assert scene_line(gather_trajectories(str(tmp_path / "out" / "in"))) == line


def test_datasets_of_others_say_what_they_have(tmp_path: Path) -> None:
    write_episodes(tmp_path, "toy", [episode(tmp_path, "toy", "a", quality_label=None, scene_id=" ")])
    found = gather_trajectories(str(tmp_path / "toy"))
    assert scene_line(found) == "0 of 1 trajectories have a scene, 0 in all"
    assert found.qualities == {"unknown": 1}
    (tmp_path / "toy" / "dataset_info.json").write_text('{"ingest": ["mine"]}')
    assert gather_trajectories(str(tmp_path / "toy")) == found
    (tmp_path / "toy" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset_info\.json must be JSON, but is not"):
        gather_trajectories(str(tmp_path / "toy"))


def test_flags_for_questions_are_refused_for_trajectories(tmp_path: Path) -> None:
    make_world(tmp_path, "toy", episodes=2, frames=4)
    with pytest.raises(ConfigError) as caught:
        StatisticsOptions(datasets=(str(tmp_path / "toy"),), plot="a.png", max_rows=3)
    held = f"must go with VQA datasets alone, but {tmp_path}/toy holds trajectories"
    assert str(caught.value) == f"`plot` {held}\n`max_rows` {held}"
