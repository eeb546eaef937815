"""`rfm relabel`: the same bytes whatever kills it and however many work; nothing foreign is replaced."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from checkpoints import random_checkpoint
from power_cuts import killed_at
from relabelled import LENGTHS, content, films, options
from robot_datasets import edit_table, write_lerobot

from rfm.errors import ConfigError
from rfm.files.lock import exclusive
from rfm.files.ownership import partial_of
from rfm.ingest.lerobot.dataset import read_dataset
from rfm.scoring.relabelling import jobs as jobs_module
from rfm.scoring.relabelling.command import relabel


@pytest.mark.parametrize("kind", ["lerobot", "column"])
@pytest.mark.usefixtures("small_jobs")
def test_the_same_command_goes_on_after_a_kill_at_any_step_to_the_same_bytes(checkpoint, tmp_path, kind):
    lerobot, name = write_lerobot(tmp_path / "robot", films(), "v3.0"), "p.parquet" if kind == "lerobot" else "copy"
    (tmp_path / "whole").mkdir()
    (tmp_path / "kills").mkdir()
    relabel(options(lerobot, checkpoint, tmp_path / "whole" / name, format=kind))
    made, before, step, code = (
        options(lerobot, checkpoint, tmp_path / "kills" / name, format=kind),
        content(lerobot),
        0,
        -9,
    )
    while code:
        code = killed_at(step, relabel, made)
        step += 1
    assert step >= 4
    assert relabel(made) == 0
    assert content(tmp_path / "kills") == content(tmp_path / "whole")
    assert content(lerobot) == before


@pytest.mark.usefixtures("small_jobs")
def test_what_was_answered_is_not_asked_again(checkpoint, tmp_path, monkeypatch):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    made = options(lerobot, checkpoint, tmp_path / "p.parquet")
    asked: list[str] = []
    real = jobs_module._read

    def noting(one: Any, model: Any) -> Any:
        asked.append(one.id)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(one, model)

    monkeypatch.setattr(jobs_module, "_read", noting)
    with pytest.raises(KeyboardInterrupt):
        relabel(made)
    assert not (tmp_path / "p.parquet").exists()
    assert relabel(made) == 0
    assert asked == [f"robot_{at:06d}" for at in (0, 1, 2, 2)]
    assert relabel(made) == 0
    assert len(asked) == 4
    assert not partial_of(tmp_path / "p.parquet").exists()


@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.usefixtures("small_jobs")
def test_two_workers_give_the_bytes_of_one_process(checkpoint, tmp_path, monkeypatch, executor):
    if executor == "ray":
        pytest.importorskip("ray", reason="the extra `ray` is not installed")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    lerobot = write_lerobot(tmp_path / "robot", films(), "v2.1")
    relabel(options(lerobot, checkpoint, tmp_path / "one.parquet"))
    relabel(options(lerobot, checkpoint, tmp_path / "two.parquet", executor=executor, num_workers=2))
    assert (tmp_path / "two.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()


def test_what_is_there_is_replaced_only_if_asked_and_if_it_is_ours(lerobot, checkpoint, tmp_path):
    made = options(lerobot, checkpoint, tmp_path / "copy", format="column")
    relabel(made)
    other = dataclasses.replace(made, column="gain", values="reward")
    with pytest.raises(ConfigError, match=r"`output` .*copy exists; add --overwrite to replace it"):
        relabel(other)
    (tmp_path / "copy" / "notes.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"copy holds notes.txt, which is no part of one and is not deleted"):
        relabel(dataclasses.replace(other, overwrite=True))
    (tmp_path / "copy" / "notes.txt").unlink()
    assert relabel(dataclasses.replace(other, overwrite=True)) == 0
    assert "gain" in read_dataset(tmp_path / "copy").features
    flat = options(lerobot, checkpoint, tmp_path / "p.parquet")
    (tmp_path / "p.parquet").write_text("precious")
    with pytest.raises(ConfigError, match=r"`output` .*p.parquet exists; add --overwrite to replace it"):
        relabel(flat)
    assert relabel(dataclasses.replace(flat, overwrite=True)) == 0
    with pytest.raises(ConfigError, match=r"`output` must be free or a copy with progress, but .* holds data/"):
        relabel(options(lerobot, checkpoint, lerobot, format="column", overwrite=True))


def test_another_model_or_dataset_under_the_same_name_is_another_result(tmp_path):
    lerobot, checkpoint = write_lerobot(tmp_path / "robot", films(), "v3.0"), random_checkpoint(tmp_path / "model")
    made = options(lerobot, checkpoint, tmp_path / "p.parquet")
    assert relabel(made) == 0 == relabel(made)
    before = pq.read_table(tmp_path / "p.parquet")["progress_sparse"]
    random_checkpoint(checkpoint, seed=2)
    with pytest.raises(ConfigError, match=r"`output` .*p.parquet exists; add --overwrite to replace it"):
        relabel(made)
    assert relabel(dataclasses.replace(made, overwrite=True)) == 0
    assert pq.read_table(tmp_path / "p.parquet")["progress_sparse"] != before
    edit_table(next((lerobot / "data").rglob("*.parquet")), lambda rows: rows)
    with pytest.raises(ConfigError, match=r"`output` .*p.parquet exists; add --overwrite to replace it"):
        relabel(made)


def test_the_parquet_may_lie_in_the_dataset_and_a_copy_may_not(checkpoint, tmp_path):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    made = options(lerobot, checkpoint, lerobot)
    assert relabel(made) == 0 == relabel(made)
    assert (lerobot / "cups_progress.parquet").is_file()
    with pytest.raises(
        ConfigError, match=r"`output` must lie outside of the dataset that is copied, but .*copy lies in"
    ):
        relabel(options(lerobot, checkpoint, lerobot / "copy", format="column"))


def test_relative_paths_are_those_of_the_working_folder(checkpoint, tmp_path, monkeypatch):
    write_lerobot(tmp_path / "robot", films(), "v3.0")
    monkeypatch.chdir(tmp_path)
    assert relabel(options("robot", checkpoint, Path("p.parquet"))) == 0
    assert pq.read_table("p.parquet").num_rows == sum(LENGTHS)


def test_the_second_of_two_is_refused_before_its_work(lerobot, checkpoint, tmp_path):
    with (
        exclusive(partial_of(tmp_path / "p.parquet"), wait=False),
        pytest.raises(ConfigError, match="must have one writer at a time, but another process is writing it"),
    ):
        relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
