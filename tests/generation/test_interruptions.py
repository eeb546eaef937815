"""Killed at any moment and run again, a dataset has the same bytes."""

import dataclasses
import hashlib
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import load_from_disk
from generating import files, options
from power_cuts import killed_at, power_cut_at

from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.generation import drawing, store
from rfm.generation import generate as module
from rfm.generation.generate import GenerateOptions, generate

pytestmark = pytest.mark.usefixtures("small_chunks")


STEPS = 26
"""Changes to the folder that generating three shards takes."""


def _killed_at(step: int, made: GenerateOptions) -> None:
    """In a child process: generate, and die by kill -9 in the middle of a change to the folder."""
    os.setsid()
    left = [step]

    def dying(change):
        def wrapper(path: Path, *arguments, **named):
            if not left[0]:
                if change.__name__ == "write_text":
                    change(path, arguments[0][: len(arguments[0]) // 2], **named)
                os.killpg(0, signal.SIGKILL)
            left[0] -= 1
            return change(path, *arguments, **named)

        return wrapper

    for change in (Path.write_text, Path.replace, Path.rename, Path.unlink):
        setattr(Path, change.__name__, dying(change))
    generate(made)


def kill(step: int, made: GenerateOptions) -> int | None:
    child = multiprocessing.get_context("fork").Process(target=_killed_at, args=(step, made))
    child.start()
    child.join()
    return child.exitcode


@pytest.fixture(scope="module")
def three_shards(world, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "CHUNK", 128)
        made = options(world, tmp_path_factory.mktemp("three") / "vqa", num_samples=600, save_batch_size=250)
        return files(generate(made))


@pytest.mark.parametrize("step", np.random.default_rng(0).permutation(STEPS)[:13].tolist())
def test_killed_anywhere_and_run_again_gives_the_same_bytes(world, tmp_path, three_shards, step):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    assert kill(step, made) == -signal.SIGKILL
    assert not (tmp_path / "vqa").exists()
    assert files(generate(made)) == three_shards
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]


def test_the_steps_are_all_there_are(world, tmp_path, three_shards):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    assert kill(STEPS, made) == 0
    assert files(tmp_path / "vqa") == three_shards


def test_going_on_with_another_number_of_workers(world, tmp_path, three_shards):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    assert kill(4, dataclasses.replace(made, num_workers=2)) == -signal.SIGKILL
    assert kill(4, made) == -signal.SIGKILL
    assert files(generate(dataclasses.replace(made, num_workers=2))) == three_shards


def test_a_killed_worker_is_one_error_and_the_same_command_goes_on(world, tmp_path, three_shards, monkeypatch, capfd):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250, num_workers=2)
    first, parent, draw = tmp_path / ".vqa.partial" / "shard-00000.arrow", os.getpid(), drawing._chunk

    def killed_at_the_last(plan, drawer, number):
        if number == 4 and os.getpid() != parent:
            while not first.exists():
                os.sched_yield()
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(plan, drawer, number)

    command = ["--output_path", str(tmp_path / "vqa"), "--num_samples", "600", "--save_batch_size", "250"]
    command += ["--num_workers", "2", "--config_overrides", *made.config_overrides]
    with monkeypatch.context() as patch:
        patch.setattr(drawing, "_chunk", killed_at_the_last)
        assert run_command(("generate",), command, "rfm generate") == 1
    seen = capfd.readouterr().err
    assert seen.count("error: workers must live until their work is done, but one was killed, maybe for lack of m") == 1
    assert "Traceback" not in seen
    assert not (tmp_path / "vqa").exists()
    time = first.stat().st_mtime_ns
    assert files(generate(made)) == three_shards
    assert (tmp_path / "vqa" / "data-00000-of-00003.arrow").stat().st_mtime_ns == time


def test_finished_shards_are_not_written_again(world, tmp_path, three_shards):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    assert kill(15, made) == -signal.SIGKILL  # when all are counted
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".vqa.partial").glob("shard-*.arrow")}
    path = generate(made)
    times = {f"shard-{at:05d}.arrow": (path / f"data-{at:05d}-of-00003.arrow").stat().st_mtime_ns for at in range(3)}
    assert done == times


@pytest.mark.parametrize("step", range(0, 24, 2))
def test_after_a_power_cut_what_was_not_flushed_is_made_again(world, tmp_path, three_shards, step):
    made = options(world, tmp_path / "in" / "vqa", num_samples=600, save_batch_size=250)
    code = power_cut_at(step, tmp_path / "in", generate, made)
    assert code in (0, -signal.SIGKILL)
    assert files(generate(made)) == three_shards
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["vqa"]


@pytest.mark.parametrize("cut", [0, 8, 0.5, "batches"])
@pytest.mark.parametrize("shard", [0, 2])
def test_a_shard_that_is_not_what_was_counted_is_made_again(world, tmp_path, three_shards, shard, cut, caplog):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    kill(15, made)
    path = tmp_path / ".vqa.partial" / f"shard-{shard:05d}.arrow"
    size = path.stat().st_size
    if cut == "batches":  # whole in itself, and rows short
        table = pa.ipc.open_stream(path.read_bytes()).read_all()
        store.write_arrow(path, table.to_batches()[:1])
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    else:
        os.truncate(path, int(cut * size) if cut < 1 else size - cut)
    assert files(generate(made)) == three_shards
    assert f"{path} is not as it was written, after a power cut maybe: rows from {250 * shard} on are" in caplog.text


def test_a_shard_that_has_gone_is_made_again(world, tmp_path, three_shards):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    kill(15, made)
    (tmp_path / ".vqa.partial" / "shard-00001.arrow").unlink()
    assert files(generate(made)) == three_shards


def test_the_same_command_again_says_that_it_is_complete(world, tmp_path, three_shards, caplog):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    generate(made)
    before = (tmp_path / "vqa").stat().st_ino
    with caplog.at_level("INFO", "rfm"):
        generate(made)
    assert f"600 samples in {tmp_path / 'vqa'}, complete before" in caplog.text
    assert (tmp_path / "vqa").stat().st_ino == before
    os.truncate(tmp_path / "vqa" / "data-00001-of-00003.arrow", 5000)
    with pytest.raises(ConfigError, match=r"vqa exists; add --overwrite to replace it, or name another"):
        generate(made)


def test_a_dataset_stays_readable_until_another_takes_its_place(world, tmp_path):
    generate(options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250))
    before = files(tmp_path / "vqa")
    other = options(world, tmp_path / "vqa", num_samples=300, seed=5, overwrite=True)
    whole = files(generate(dataclasses.replace(other, output_path=str(tmp_path / "other"))))
    step, code = 0, -signal.SIGKILL
    while code:
        code = killed_at(step, generate, other)
        there = files(tmp_path / "vqa")
        assert there in (before, whole)
        step += 3
        if there == whole:
            break
    assert files(generate(other)) == whole


def test_an_unfinished_run_of_other_settings_is_not_mixed_in(world, tmp_path):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    kill(6, made)
    other = dataclasses.replace(made, seed=1)
    with pytest.raises(DataError, match=r"has an unfinished run of other settings or data in .*\.vqa\.partial; repeat"):
        generate(other)
    whole = files(generate(dataclasses.replace(other, output_path=str(tmp_path / "whole"))))
    assert files(generate(dataclasses.replace(other, overwrite=True))) == whole


KILLS = 10


def _generate_in_a_group(made: GenerateOptions) -> None:
    os.setsid()
    generate(made)


def kill_after(seconds: float, made: GenerateOptions) -> int | None:
    """Generate in another process group, and end it and its workers by kill -9 after so long; return the exit code."""
    child = multiprocessing.get_context("fork").Process(target=_generate_in_a_group, args=(made,))
    child.start()
    child.join(seconds)
    if child.is_alive():
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:  # not yet a group of its own
            child.kill()
    child.join()
    return child.exitcode


@pytest.fixture(scope="module")
def rows_of_one_run(world, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "CHUNK", 128)
        made = options(world, tmp_path_factory.mktemp("one") / "vqa", num_samples=6000)
        return sha256_of_rows(generate(made))


def sha256_of_rows(path: Path) -> str:
    table = load_from_disk(str(path)).data.table.combine_chunks()
    return hashlib.sha256(table.to_batches()[0].serialize()).hexdigest()


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("size", [100, 10000, -1])
def test_killed_ten_times_at_random_moments(world, tmp_path, monkeypatch, rows_of_one_run, workers, size):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    made = options(world, tmp_path / "vqa", num_samples=6000, num_workers=workers, save_batch_size=size)
    assert module._workers(made, 6000) == workers
    random = np.random.default_rng([workers, size + 1])
    killed = 0
    for _ in range(KILLS):
        killed += kill_after(float(random.uniform(0.03, 0.25)), made) == -signal.SIGKILL
        if (tmp_path / "vqa").exists():
            break
    assert killed >= 1
    assert sha256_of_rows(tmp_path / "vqa" if (tmp_path / "vqa").exists() else generate(made)) == rows_of_one_run
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]
