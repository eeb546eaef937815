"""Quality labels and texts of LeRobot datasets are given or recorded, never guessed."""

from pathlib import Path
from typing import Any

import pytest
from lerobot_ingested import EPISODES, change_frames, ingest, reasons, rows
from robot_datasets import write_lerobot

from rfm.errors import ConfigError, DataError
from rfm.ingest.rules.labels import outcome


def test_labels_are_given_never_guessed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, columns={"good": [1.0, 0.0, None]})

    def qualities(**options: Any) -> list[str | None]:
        ingest(root, tmp_path / "out", overwrite=True, **options)
        return [row["quality_label"] for row in rows(tmp_path / "out", "set")]

    assert qualities() == [None] * 3
    assert "3 episodes are not known to have succeeded or failed" in caplog.text
    assert qualities(label="optimal") == ["successful"] * 3
    assert qualities(label_column="good") == ["successful", "failure", None]
    (tmp_path / "labels.csv").write_text(
        "episode,quality_label,partial_success\n1,suboptimal,0.5\nset_000002,failed,\n"
    )
    assert qualities(labels=str(tmp_path / "labels.csv")) == [None, "suboptimal", "failure"]
    assert [row["partial_success"] for row in rows(tmp_path / "out", "set")] == [None, 0.5, None]


def test_a_rule_of_the_user_goes_before_recorded_success(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, success=[True, False, True])
    ingest(root, tmp_path / "out", label="suboptimal")
    assert [row["quality_label"] for row in rows(tmp_path / "out", "set")] == ["suboptimal"] * 3


def test_wrong_rules_are_errors(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES)
    csv = tmp_path / "labels.csv"

    def fails(error: str, text: str = "", **options: Any) -> None:
        csv.write_text(text)
        with pytest.raises((ConfigError, DataError), match=error):
            ingest(root, tmp_path / "out", **options)

    fails("at most one rule for labels must be given, but --label and --labels are", label="failure", labels=str(csv))
    fails("but --label and --success_pattern are", label="failure", success_pattern="")
    fails("`quality_label` in --label must be one of", label="great")
    fails(r"--label_column must name one of .*, timestamp, .*, length.*, but is `reward`", label_column="reward")
    fails("lacks episode, quality_label: it is `name`", "name\n", labels=str(csv))
    fails(
        "line 3: `episode` must be set and differ in every line, but is `0`",
        "episode,quality_label\n0,\n0,\n",
        labels=str(csv),
    )
    fails(
        "each `episode` of --labels must be one of the dataset, but 7 is not there",
        "episode,quality_label\n7,\n",
        labels=str(csv),
    )
    fails("--labels must name a readable CSV", labels=str(tmp_path / "gone.csv"))
    assert not (tmp_path / "out").exists()


def test_success_is_what_holds_at_the_end() -> None:
    assert outcome([False, True, True], "x") == "successful"
    assert outcome([0.0, 0.0], "x") == "failure"
    assert outcome([False, True, False], "x") is None
    assert outcome([None], "x") is None
    assert outcome([b"Optimal"], "x") == "successful"
    with pytest.raises(DataError, match=r"`x` must be true or false, 0 or 1, or a quality label, but is `0\.3`"):
        outcome([0.3, 1.0], "x")


def test_several_tasks_in_one_episode_need_a_text(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, tasks=[0, 1, 1])
    change_frames(root, lambda rows: rows[6].update(task_index=0))
    ingest(root, tmp_path / "out")
    assert reasons(tmp_path / "out", "set") == {
        "set_000001": "episode 1 must have one task, but has 2: give --task, --tasks, --task_column or --task_pattern"
    }
    assert ingest(root, tmp_path / "out", task="tidy up", overwrite=True) == 0
    assert {row["task"] for row in rows(tmp_path / "out", "set")} == {"tidy up"}
