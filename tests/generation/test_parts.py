"""`--shard I/N`: jobs in any order, killed, repeated and at the same time make the dataset of one run."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import make_world

from rfm.errors import ConfigError, DataError
from rfm.generation import drawing
from rfm.generation.generate import GenerateOptions, generate
from rfm.generation.parts import Part

CONTEXT = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(drawing, "CHUNK", 128)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"), "toy_train")


def options(world: Path, output: Path, **changes) -> GenerateOptions:
    overrides = (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.max_frames=4")
    made = GenerateOptions(str(output), num_samples=600, save_batch_size=70, num_workers=1, config_overrides=overrides)
    return dataclasses.replace(made, **changes)


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "CHUNK", 128)
        return files(generate(options(world, tmp_path_factory.mktemp("whole") / "vqa")))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(st.integers(1, 30), st.integers(0, 200))
def test_shares_are_a_partition_into_equal_runs(of, count):
    shares = [Part(number, of).share(count) for number in range(1, of + 1)]
    assert [at for share in shares for at in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "a/b", "1/0", "-1/4", ""])
def test_a_shard_is_one_of_several(text):
    with pytest.raises(ConfigError, match=f"`shard` must be I/N with 1 <= I <= N, as in 3/8, but is '{text}'"):
        GenerateOptions("x", shard=text)


def test_overwriting_is_not_for_shards():
    with pytest.raises(ConfigError, match="`overwrite` and `shard` must not be given together; jobs would remove"):
        GenerateOptions("x", shard="1/2", overwrite=True)


@pytest.mark.parametrize("order", [(1,), (1, 2, 3, 4), (4, 2, 3, 1), tuple(range(11, 0, -1))])
def test_jobs_in_any_order_give_the_bytes_of_one_run(world, tmp_path, whole, order):
    for number in order:
        assert not (tmp_path / "vqa").exists()
        generate(options(world, tmp_path / "vqa", shard=f"{number}/{len(order)}"))
    assert files(tmp_path / "vqa") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]


def test_a_shard_says_which_are_still_to_be_done(world, tmp_path, caplog):
    caplog.set_level("INFO")
    generate(options(world, tmp_path / "vqa", shard="2/4"))
    assert "shard 2/4 is done; still to be done: 1, 3, 4" in caplog.text
    generate(options(world, tmp_path / "other", shard="7/11"))
    assert "has no rows" not in caplog.text
    generate(options(world, tmp_path / "many", shard="1/11"))
    assert "shard 1/11 has no rows: 70 rows a file make fewer files than shards" in caplog.text


def test_a_shard_of_a_complete_dataset_changes_nothing(world, tmp_path, whole):
    for number in (1, 2, 1):
        generate(options(world, tmp_path / "vqa", shard=f"{number}/2"))
    assert files(tmp_path / "vqa") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]


def test_a_dataset_of_other_settings_is_left_alone(world, tmp_path):
    generate(options(world, tmp_path / "vqa", seed=1))
    before = files(tmp_path / "vqa")
    with pytest.raises(ConfigError, match=r"`output_path` .*vqa exists; add --overwrite to replace it, or name"):
        generate(options(world, tmp_path / "vqa", shard="1/2"))
    assert files(tmp_path / "vqa") == before


@pytest.mark.parametrize(
    "change", [{"seed": 1, "shard": "2/3"}, {"shard": "2/4"}, {"save_batch_size": 71, "shard": "2/3"}, {}],
    ids=["seed", "parts", "files", "whole"],
)  # fmt: skip
def test_runs_of_other_settings_are_not_mixed(world, tmp_path, change):
    generate(options(world, tmp_path / "vqa", shard="1/3"))
    with pytest.raises(DataError, match=r"`output_path` .*vqa has an unfinished run .* in .*\.vqa\.partial"):
        generate(options(world, tmp_path / "vqa", **change))


def test_shards_do_not_go_on_with_a_whole_run(world, tmp_path):
    _die_after(options(world, tmp_path / "vqa"), 6)
    with pytest.raises(DataError, match=r"has an unfinished run of other settings, data or number of shards in"):
        generate(options(world, tmp_path / "vqa", shard="1/3"))


def _killed_at(step: int, made: GenerateOptions) -> None:
    """In a child process: generate, and die by kill -9 in the middle of a change to the folder."""
    left = [step]

    def dying(change):
        def wrapper(*arguments, **named):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return change(*arguments, **named)

        return wrapper

    for change in (Path.write_text, Path.replace, Path.rename, Path.mkdir):
        setattr(Path, change.__name__, dying(change))
    os.link = dying(os.link)
    generate(made)


def _die_after(made: GenerateOptions, step: int) -> int | None:
    child = CONTEXT.Process(target=_killed_at, args=(step, made))
    child.start()
    child.join()
    return child.exitcode


def test_jobs_killed_at_every_step_and_repeated_give_the_same_bytes(world, tmp_path, whole):
    """The last job dies one step later each time; it also has to put the dataset together."""
    for number in (3, 1):
        made = options(world, tmp_path / "vqa", shard=f"{number}/3")
        assert _die_after(made, 4) == -signal.SIGKILL
        generate(made)
    last = options(world, tmp_path / "vqa", shard="2/3")
    steps = 0
    while _die_after(last, steps) != 0:
        assert not (tmp_path / "vqa").exists()
        steps += 1
    assert steps > 15
    assert files(tmp_path / "vqa") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]


def _together(made: GenerateOptions, barrier) -> None:
    barrier.wait()
    generate(made)


@pytest.mark.parametrize("jobs", [("1/3", "2/3", "3/3"), ("1/2", "1/2", "2/2", "2/2", "2/2")])
def test_jobs_at_the_same_time(world, tmp_path, whole, jobs):
    barrier = CONTEXT.Barrier(len(jobs))
    children = [
        CONTEXT.Process(target=_together, args=(options(world, tmp_path / "vqa", shard=job), barrier)) for job in jobs
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * len(jobs)
    assert files(tmp_path / "vqa") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]
