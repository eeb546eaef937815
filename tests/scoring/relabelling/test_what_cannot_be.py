"""`rfm relabel`: episodes, indices and options that can't be used are said, and nothing is lost."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from films import episode, film, write_episodes
from rabc_reader import read_weights
from relabelled import LENGTHS, expected, films, options, rows_of
from robot_datasets import edit_table, moving_square, write_lerobot

from rfm.errors import ConfigError, DataError
from rfm.files.ownership import partial_of
from rfm.scoring.relabelling.command import relabel


def test_an_episode_that_cannot_be_read_is_named_and_has_no_progress(checkpoint, model, tmp_path, caplog):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v2.1")
    video = lerobot / "videos" / "chunk-001" / "observation.images.front" / "episode_000002.mp4"
    video.write_bytes(b"no video")
    for kind, name in (("lerobot", "p.parquet"), ("column", "copy")):
        made = options(lerobot, checkpoint, tmp_path / name, format=kind)
        assert relabel(made) == 1
        assert "robot_000002 has no progress: " in caplog.text
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert relabel(made) == 1
        assert "is complete; 1 of its episodes have no progress" in caplog.text
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["progress_sparse"].null_count == 9
    assert table["progress_sparse"].to_pylist()[:7] == pytest.approx(expected(model)[0].tolist(), abs=1e-5)
    weights = read_weights(tmp_path / "p.parquet", 3)
    assert {weights[at] for at in range(8, 17)} == {1.0}
    assert [row["progress"] for row in rows_of(tmp_path / "copy")][8:] == [None] * 9


def test_a_dataset_of_which_nothing_can_be_read_is_an_error(checkpoint, tmp_path):
    lerobot = write_lerobot(tmp_path / "robot", [moving_square(3)], "v2.1")
    for video in lerobot.rglob("*.mp4"):
        video.write_bytes(b"no video")
    with pytest.raises(DataError, match=r"an episode of .*robot must be readable, but none is; .*episode_000000.mp4"):
        relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
    assert not (tmp_path / "p.parquet").exists()


def repeated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        row["index"] = row["frame_index"]
    return rows


def with_a_gap(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows[-1]["index"] += 1
    return rows


def without_index(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "index"} for row in rows]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (repeated, r"`index` must differ in all frames of .*, but 0 is of episodes 0 and 1; take --format column"),
        (with_a_gap, r"`index` must count the frames of episode 2 one by one, as LeRobot weights samples by it, but"),
        (without_index, r"file-000.parquet must have the columns index, episode_index, frame_index, but lacks index"),
    ],
)
def test_an_index_that_lerobot_would_find_others_by_is_an_error(checkpoint, tmp_path, change, text):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    edit_table(next((lerobot / "data").rglob("*.parquet")), change)
    with pytest.raises(DataError, match=text):
        relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
    assert not (tmp_path / "p.parquet").exists()
    assert relabel(options(lerobot, checkpoint, tmp_path / "copy", format="column")) == 0


def with_repeated_index(robot: Path) -> None:
    edit_table(next((robot / "data").rglob("*.parquet")), repeated)


def with_a_link_that_leads_out(robot: Path) -> None:
    (robot / "secret").symlink_to(robot.parent)


def with_a_table_that_is_none(robot: Path) -> None:
    (robot / "data" / "chunk-000" / "file-001.parquet").write_bytes(b"no table")


def with_an_episode_twice(robot: Path) -> None:
    table = next((robot / "data").rglob("*.parquet"))
    shutil.copy(table, table.with_name("file-000 (1).parquet"))


def with_more_rows(robot: Path) -> None:
    (robot / "data" / "chunk-009").mkdir()
    shutil.copy(next((robot / "data").rglob("*.parquet")), robot / "data" / "chunk-009" / "file-000.parquet")
    edit_table(robot / "data" / "chunk-009" / "file-000.parquet", lambda rows: [{**rows[0], "index": 99}])


@pytest.mark.parametrize(
    ("spoil", "kind", "text"),
    [
        (with_repeated_index, "lerobot", "`index` must differ in all frames of"),
        (with_more_rows, "lerobot", r"episode 0 must have 7 rows in .*chunk-009/file-000.parquet, but has 1"),
        (with_a_table_that_is_none, "lerobot", "file-001.parquet must be a readable parquet file, but"),
        (with_a_table_that_is_none, "column", "file-001.parquet must be a readable parquet file, but"),
        (with_a_link_that_leads_out, "column", "link secret must lie in the dataset's folder"),
        (with_an_episode_twice, "column", "the frames of episode 0 must lie in one file, but lie in"),
    ],
)
def test_what_no_answer_can_mend_is_said_before_the_model_is_asked(checkpoint, tmp_path, spoil, kind, text):
    lerobot, output = write_lerobot(tmp_path / "robot", films(), "v3.0"), tmp_path / "out.parquet"
    spoil(lerobot)
    with pytest.raises(DataError, match=text):
        relabel(options(lerobot, checkpoint, output, format=kind))
    assert not partial_of(output).exists()


@pytest.mark.parametrize("hidden", ["chunk-000/._file-000.parquet", ".cache/file-000.parquet"])
def test_hidden_files_are_no_tables(checkpoint, tmp_path, hidden):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    (lerobot / "data" / hidden).parent.mkdir(exist_ok=True)
    (lerobot / "data" / hidden).write_bytes(b"of a file system")
    assert relabel(options(lerobot, checkpoint, tmp_path / "p.parquet")) == 0
    assert relabel(options(lerobot, checkpoint, tmp_path / "copy", format="column")) == 0
    assert pq.read_table(tmp_path / "p.parquet")["progress_sparse"].null_count == 0
    (tmp_path / "copy" / "data" / hidden).unlink()
    assert all(row["progress"] is not None for row in rows_of(tmp_path / "copy"))


def test_tables_that_links_within_the_dataset_lead_to_are_taken(checkpoint, tmp_path):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    (lerobot / "data" / "chunk-000").rename(lerobot / "held")
    (lerobot / "data" / "chunk-000").symlink_to("../held")
    (lerobot / "data" / "round").symlink_to(".")
    assert relabel(options(lerobot, checkpoint, tmp_path / "p.parquet")) == 0
    assert pq.read_table(tmp_path / "p.parquet").num_rows == sum(LENGTHS)


def test_rows_may_lie_in_any_order_in_their_file(checkpoint, model, tmp_path):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    edit_table(next((lerobot / "data").rglob("*.parquet")), lambda rows: rows[::-1])
    relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
    table = pq.read_table(tmp_path / "p.parquet").to_pandas().set_index("index")["progress_sparse"]
    wanted = np.concatenate(expected(model))
    assert [table[at] for at in range(len(wanted))] == pytest.approx(wanted.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"num_workers": 0}, "`num_workers` must be at least 1, but is 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, but is 0"),
        ({"max_frames": 1}, "`max_frames` must lie between 2 and 4096, but is 1"),
        ({"format": "csv"}, "`format` must be one of lerobot, column, parquet, but is `csv`"),
        ({"executor": "slurm"}, "`executor` must be one of local, ray, but is `slurm`"),
        ({"values": "reward"}, "`values` must go with --format column, but goes with none"),
        ({"format": "lerobot", "column": "x"}, "`column` must go with --format column, but goes with lerobot"),
    ],
)
def test_options_that_mean_nothing_are_refused(changes, text):
    with pytest.raises(ConfigError) as raised:
        options("robot", Path("model"), Path("p.parquet"), **changes)
    assert text in str(raised.value)


def test_what_a_trajectory_dataset_cannot_give_is_said(checkpoint, tmp_path):
    write_episodes(tmp_path, "robot", [episode(tmp_path, "robot", "r_0", film(0, 4))])
    named = {"datasets_root": str(tmp_path)}
    with pytest.raises(
        ConfigError, match=r"`format` lerobot must go with a LeRobot dataset, but robot is a trajectory"
    ):
        relabel(options("robot", checkpoint, tmp_path / "p.parquet", format="lerobot", **named))
    with pytest.raises(
        ConfigError, match=r"`camera` must go with a LeRobot dataset, but robot is a trajectory dataset"
    ):
        relabel(options("robot", checkpoint, tmp_path / "p.parquet", camera="front", **named))
    with pytest.raises(ConfigError, match=r"`path` must be a LeRobot dataset .*, but is nowhere; name the folder"):
        relabel(options("nowhere", checkpoint, tmp_path / "p.parquet", **named))


def test_a_column_that_is_there_is_not_written_over(lerobot, checkpoint, tmp_path):
    with pytest.raises(
        ConfigError, match=r"`column` must be a new one, but .* has `timestamp`; name another by --column"
    ):
        relabel(options(lerobot, checkpoint, tmp_path / "copy", format="column", column="timestamp"))


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_column_that_the_tables_have_alone_is_not_written_twice(checkpoint, tmp_path, version):
    lerobot = write_lerobot(tmp_path / "robot", films(), version)
    last = sorted((lerobot / "data").rglob("*.parquet"))[-1]
    edit_table(last, lambda rows: [{**row, "progress": 0.5} for row in rows])
    made = options(lerobot, checkpoint, tmp_path / "copy", format="column")
    with pytest.raises(
        ConfigError, match=rf"`column` must be a new one, but .*{last.name} has `progress`; name another"
    ):
        relabel(made)
    assert not partial_of(tmp_path / "copy").exists()
    assert relabel(dataclasses.replace(made, column="gain")) == 0
    assert {0.5, None} >= {row.get("progress") for row in rows_of(tmp_path / "copy")}
