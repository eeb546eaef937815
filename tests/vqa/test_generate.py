import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import load_from_disk
from worlds import make_world

from rfm.errors import ConfigError, DataError
from rfm.trajectories.catalog import load_catalog
from rfm.vqa import drawing
from rfm.vqa import generate as module
from rfm.vqa.columns import SCHEMA
from rfm.vqa.generate import GenerateOptions, generate
from rfm.vqa.generate_options import Unasked
from rfm.vqa.provenance import trajectory_hashes

ROWS = 1000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    make_world(root, "toy_train")
    return make_world(root, "toy_eval", seed=1)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Several chunks, and a worker for each, in a dataset of a thousand rows on any machine."""
    monkeypatch.setattr(drawing, "CHUNK", 128)
    monkeypatch.setattr(module, "WORTH_A_WORKER", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def options(world: Path, output: Path, *overrides: str, **changes) -> GenerateOptions:
    where = (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.eval_datasets=[toy_eval]")
    made = GenerateOptions(
        output_path=str(output),
        num_samples=ROWS,
        num_workers=1,
        config_overrides=(*where, "data.max_frames=4", *overrides),
    )
    return dataclasses.replace(made, **changes)


@pytest.fixture(scope="module")
def reference(world, tmp_path_factory):
    """One dataset that the others are compared with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "CHUNK", 128)
        return generate(options(world, tmp_path_factory.mktemp("reference") / "vqa"))


def config_of(path: Path) -> dict:
    return json.loads((path / "generation_config.json").read_text())


def rows_of(path: Path) -> list[dict]:
    return load_from_disk(str(path)).to_list()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_loads_with_the_stock_function(reference):
    dataset = load_from_disk(str(reference))
    assert len(dataset) == ROWS
    assert dataset.column_names == SCHEMA.names
    assert dataset.features.arrow_schema.types == SCHEMA.types
    assert set(dataset[0]) == set(SCHEMA.names)


def test_the_record_has_what_is_needed_to_make_it_again(reference, world):
    record = config_of(reference)
    assert record["config"]["data"]["max_frames"] == 4
    assert record["config"]["data"]["datasets_root"] == record["datasets_root"] == str(world)
    expected = {"config_name": "config", "partition": "train", "eval_mode": False, "num_samples": ROWS, "seed": 42}
    assert {name: record[name] for name in expected} == expected
    assert record["prompt_version"] == 1
    assert set(record["versions"]) == {"rfm-vqa", "numpy", "pyarrow", "datasets"}
    assert record["trajectories"] == {"used": 12, "too_short": 0, "unreadable": []}
    assert record["unsupported"] == {}
    (arrow,) = (world / "toy_train" / "processed_dataset").glob("*.arrow")
    assert record["source_hashes"] == {"toy_train": hashlib.sha256(arrow.read_bytes()).hexdigest()}
    assert len(record["content_hash"]) == 64


def test_shares_come_out_exactly_and_stand_in_the_record(reference):
    record, rows = config_of(reference), rows_of(reference)
    by_kind = Counter(row["sample_type"] for row in rows)
    assert by_kind == {"preference": 700, "progress": 300}
    by_strategy = Counter((row["sample_type"], row["data_gen_strategy"]) for row in rows)
    recorded = {
        (kind, name): count for kind, counts in record["counts"].items() for name, count in counts["strategies"].items()
    }
    assert by_strategy == recorded
    assert {kind: counts["total"] for kind, counts in record["counts"].items()} == by_kind
    assert sum(record["effective_ratio"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("ratio", "counts"), [("[1,0,0]", {"preference": 10}), ("[0,1,0]", {"progress": 10}), ("[2,1,1]", None)]
)
def test_other_shares(world, tmp_path, ratio, counts):
    path = generate(options(world, tmp_path / "a", f"data.sample_type_ratio={ratio}", num_samples=10))
    found = Counter(row["sample_type"] for row in rows_of(path))
    assert found == counts or sorted(found.values()) == [2, 3, 5]


def test_answers_1_and_2_are_balanced(reference):
    answers = Counter(
        (row["data_gen_strategy"], row["answer"]) for row in rows_of(reference) if row["sample_type"] == "preference"
    )
    for strategy in {strategy for strategy, _ in answers}:
        assert abs(answers[strategy, "1"] - answers[strategy, "2"]) <= 1


@pytest.mark.parametrize("rows", [12, 30, 31])
def test_answers_are_balanced_over_strategies_of_odd_counts(world, tmp_path, rows):
    ratio = ("data.sample_type_ratio=[0.6,0,0.4]", "data.similarity_strategy_ratio=[1,1,0]")
    drawn = rows_of(generate(options(world, tmp_path / "vqa", *ratio, num_samples=rows)))
    for kind in ("preference", "similarity"):
        answers = Counter(row["answer"] for row in drawn if row["sample_type"] == kind)
        assert abs(answers["1"] - answers["2"]) <= 1


def test_paths_are_relative_to_the_root(reference, world):
    rows = rows_of(reference)
    names = ("npz_path", "first_npz_path", "second_npz_path")
    paths = {row[name] for row in rows for name in names if row[name] is not None}
    assert len(paths) == 12
    assert all(not path.startswith("/") and (world / path).is_file() for path in paths)


def test_no_frame_is_read(world, tmp_path, reference):
    shutil.copytree(world, tmp_path / "world")
    shutil.rmtree(tmp_path / "world" / "toy_train" / "frames")
    path = generate(options(tmp_path / "world", tmp_path / "vqa"))
    assert config_of(path)["content_hash"] == config_of(reference)["content_hash"]


def test_the_same_command_gives_the_same_bytes(world, tmp_path, reference):
    assert files(generate(options(world, tmp_path / "vqa"))) == files(reference)


@pytest.mark.parametrize("workers", [2, -1])
def test_workers_change_nothing(world, tmp_path, reference, workers):
    made = options(world, tmp_path / "vqa", num_workers=workers)
    assert module._workers(made, ROWS) == 2
    assert files(generate(made)) == files(reference)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("size", "shards"), [(7, 143), (128, 8), (1000, 1), (-1, 1)])
def test_shards_change_no_row(world, tmp_path, reference, size, shards, workers):
    path = generate(options(world, tmp_path / "vqa", save_batch_size=size, num_workers=workers))
    assert len(list(path.glob("data-*.arrow"))) == shards
    assert config_of(path)["content_hash"] == config_of(reference)["content_hash"]
    assert rows_of(path) == rows_of(reference)
    assert [one.name for one in tmp_path.iterdir()] == ["vqa"]


@pytest.mark.parametrize(
    "change",
    [{"seed": 43}, {"eval_mode": True}, {"partition": "eval"}, {"num_samples": 999}],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_give_another_hash(world, tmp_path, reference, change):
    path = generate(options(world, tmp_path / "vqa", **change))
    assert config_of(path)["content_hash"] != config_of(reference)["content_hash"]
    assert rows_of(path) != rows_of(reference)


def test_the_seed_is_that_of_the_flag_or_of_the_configuration(world, tmp_path):
    by_flag = generate(options(world, tmp_path / "a", seed=7, num_samples=50))
    by_key = generate(options(world, tmp_path / "b", "data.seed=7", num_samples=50))
    assert rows_of(by_flag) == rows_of(by_key)
    assert config_of(by_flag)["seed"] == config_of(by_flag)["config"]["data"]["seed"] == 7


def test_the_eval_partition_shows_other_trajectories(world, tmp_path, reference):
    path = generate(options(world, tmp_path / "vqa", partition="eval"))
    assert {row["data_source"] for row in rows_of(path)} == {"toy_eval"}
    assert list(config_of(path)["source_hashes"]) == ["toy_eval"]
    train, held_out = (trajectory_hashes(load_from_disk(str(folder))) for folder in (reference, path))
    assert not set(train.tolist()) & set(held_out.tolist())


def test_eval_mode_compares_whole_episodes_by_their_quality(world, tmp_path):
    rows = rows_of(generate(options(world, tmp_path / "vqa", eval_mode=True)))
    assert {(row["sample_type"], row["data_gen_strategy"]) for row in rows} == {
        ("preference", "quality_preference"),
        ("progress", "forward_progress"),
    }
    catalog = load_catalog(world, ["toy_train"])
    end = dict(zip(catalog.ids.to_pylist(), catalog.partial_success.tolist(), strict=True))
    for row in rows:
        prefixes = ("first_", "second_") if row["sample_type"] == "preference" else ("",)
        clips = [row[f"{prefix}frame_indices"] for prefix in prefixes]
        assert all(clip[-1] == 15 and clip == sorted(set(clip)) for clip in clips)
        if row["sample_type"] == "preference":
            first, second = (end[row[f"{prefix}trajectory_id"]] for prefix in prefixes)
            assert row["answer"] == ("1" if first > second else "2")
        else:
            assert row["frame_indices"][0] == 0


def test_a_strategy_that_the_data_lacks_is_reported(tmp_path, caplog):
    world = make_world(tmp_path, "toy_train", tasks=1)
    path = generate(options(world, tmp_path / "vqa", num_samples=100))
    assert set(config_of(path)["unsupported"]) == {"preference/different_task", "progress/different_task_instruction"}
    assert "preference strategy different_task is left out, its share goes to the others: it needs" in caplog.text
    assert sum(counts["total"] for counts in config_of(path)["counts"].values()) == 100


def test_one_that_was_asked_for_is_an_error(tmp_path):
    world = make_world(tmp_path, "toy_train", tasks=1)
    with pytest.raises(ConfigError, match="asks for 'different_task', which needs episodes of two tasks"):
        generate(options(world, tmp_path / "vqa", "data.preference_strategy_ratio={different_task:1}"))
    assert not (tmp_path / "vqa").exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"num_samples": 0}, "`num_samples` must be at least 1, but is 0"),
        ({"num_workers": 0}, "`num_workers` must be at least 1, or -1 for all CPUs, but is 0"),
        ({"save_batch_size": -2}, "`save_batch_size` must be at least 1, or -1, but is -2"),
    ],
)
def test_wrong_options_are_named(change, text):
    with pytest.raises(ConfigError) as caught:
        GenerateOptions(output_path="x", **change)
    assert str(caught.value) == text


def test_wrong_options_are_named_together():
    with pytest.raises(ConfigError, match=r"`num_samples` must be .*\n`num_workers` must be"):
        GenerateOptions(output_path="x", num_samples=-5, num_workers=-3)


def test_an_existing_dataset_is_replaced_only_if_asked(world, tmp_path):
    generate(options(world, tmp_path / "vqa", num_samples=10))
    before = files(tmp_path / "vqa")
    with pytest.raises(DataError, match=r"`output_path` .*vqa exists; add --overwrite to replace it, or name another"):
        generate(options(world, tmp_path / "vqa", num_samples=20))
    assert files(tmp_path / "vqa") == before
    generate(options(world, tmp_path / "vqa", num_samples=20, overwrite=True))
    assert len(rows_of(tmp_path / "vqa")) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]


def test_overwriting_is_for_datasets_only(world, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("…")
    (tmp_path / "file").write_text("…")
    for name in ("precious", "file"):
        with pytest.raises(DataError, match=f"must be a dataset for --overwrite to replace it, but .*{name} is none"):
            generate(options(world, tmp_path / name, num_samples=10, overwrite=True))
    assert (tmp_path / "precious" / "thesis.tex").exists()
    (tmp_path / "empty").mkdir()
    assert len(rows_of(generate(options(world, tmp_path / "empty", num_samples=10, overwrite=True)))) == 10


STEPS = 18
"""Changes to the folder that generating three shards takes."""


def _killed_at(step: int, made: GenerateOptions) -> None:
    """In a child process: generate, and die by kill -9 in the middle of a change to the folder."""
    os.setsid()
    left = [step]

    def dying(change):
        def wrapper(path: Path, *arguments):
            if not left[0]:
                if change.__name__ == "write_text":
                    change(path, arguments[0][: len(arguments[0]) // 2])
                os.killpg(0, signal.SIGKILL)
            left[0] -= 1
            return change(path, *arguments)

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


@pytest.mark.parametrize("step", np.random.default_rng(0).permutation(STEPS)[:9].tolist())
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


def test_finished_shards_are_not_written_again(world, tmp_path, three_shards):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    kill(6, made)
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".vqa.partial").glob("shard-*.arrow")}
    path = generate(made)
    times = {f"shard-{at:05d}.arrow": (path / f"data-{at:05d}-of-00003.arrow").stat().st_mtime_ns for at in range(2)}
    assert done == times


def test_an_unfinished_run_of_other_settings_is_not_mixed_in(world, tmp_path):
    made = options(world, tmp_path / "vqa", num_samples=600, save_batch_size=250)
    kill(6, made)
    other = dataclasses.replace(made, seed=1)
    with pytest.raises(DataError, match=r"has an unfinished run of other settings or data in .*\.vqa\.partial; repeat"):
        generate(other)
    whole = files(generate(dataclasses.replace(other, output_path=str(tmp_path / "whole"))))
    assert files(generate(dataclasses.replace(other, overwrite=True))) == whole


@pytest.mark.parametrize("name", ["prefixes", "ranking", "confusion", "quality"])
def test_an_evaluation_set_has_every_question_of_the_held_out_trajectories(world, tmp_path, caplog, name):
    caplog.set_level("INFO")
    made = GenerateOptions("x", eval_set=name)
    made = dataclasses.replace(options(world, tmp_path / "vqa"), num_samples=made.num_samples, eval_set=name)
    path = generate(made)
    rows, record = rows_of(path), config_of(path)
    assert len(rows) == {"prefixes": 12 * 8, "ranking": 12, "confusion": 4 * 2, "quality": 2 * 12}[name]
    assert {row["data_gen_strategy"] for row in rows} == {name}
    assert {row["data_source"] for row in rows} == {"toy_eval"}
    assert (record["eval_set"], record["partition"]) == (name, "eval")
    assert record["num_samples"] == record["num_existing"] == len(rows)
    assert load_from_disk(str(path)).column_names == SCHEMA.names
    assert f"evaluation set {name}: {len(rows)} questions exist, {len(rows)} are taken" in caplog.text


def test_a_part_of_an_evaluation_set_of_the_training_trajectories(world, tmp_path):
    path = generate(options(world, tmp_path / "vqa", eval_set="prefixes", num_samples=20, partition="train"))
    assert (config_of(path)["num_samples"], config_of(path)["num_existing"]) == (16, 96)
    assert {row["data_source"] for row in rows_of(path)} == {"toy_train"}


def test_epochs_count_usable_trajectories(world, tmp_path):
    made = dataclasses.replace(options(world, tmp_path / "vqa"), num_samples=Unasked(10000), num_epochs=3)
    assert len(rows_of(generate(made))) == 36


def test_discrete_scores_by_flag(world, tmp_path):
    path = generate(options(world, tmp_path / "a", "data.sample_type_ratio=[0,1,0]", discrete_progress=True))
    by_key = generate(options(world, tmp_path / "b", "data.sample_type_ratio=[0,1,0]", "data.discrete_progress=true"))
    assert {row["answer"] for row in rows_of(path)} == set("12345")
    assert config_of(path)["config"] == config_of(by_key)["config"]
    assert rows_of(path) == rows_of(by_key)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"num_samples": 10, "num_epochs": 1}, "`num_samples` and `num_epochs` must not be given together; both say"),
        ({"num_epochs": 0}, "`num_epochs` must be at least 1, but is 0"),
        ({"num_epochs": 1, "eval_set": "quality"}, "`num_epochs` and `eval_set` must not be given together; an eval"),
        ({"eval_mode": True, "eval_set": "quality"}, "`eval_mode` and `eval_set` must not be given together; an eval"),
        ({"eval_set": "prefix"}, "`eval_set` must be one of prefixes, ranking, confusion, quality, but is prefix"),
    ],
)
def test_options_that_exclude_each_other(change, text):
    with pytest.raises(ConfigError, match=text):
        GenerateOptions(output_path="x", **change)


@pytest.mark.parametrize("change", [{"eval_mode": True}, {"partition": "eval"}, {"eval_set": "ranking"}], ids=str)
def test_frames_are_dropped_for_training_only(world, tmp_path, caplog, change):
    caplog.set_level("INFO")
    dropping = "data.frame_dropping=0.9"
    made = generate(options(world, tmp_path / "a", dropping, **change))
    whole = generate(options(world, tmp_path / "b", **change))
    assert config_of(made)["config"]["data"]["frame_dropping"] == 0
    assert rows_of(made) == rows_of(whole)
    assert "data.frame_dropping is for training: it is 0 in this dataset" in caplog.text


def test_rows_of_training_say_which_frames_are_shown(world, tmp_path, reference):
    rows = rows_of(generate(options(world, tmp_path / "vqa", "data.frame_dropping=0.9", "data.max_frames=8")))
    lengths = {len(row["frame_indices"]) for row in rows if row["sample_type"] == "progress"}
    assert min(lengths) < 5
    assert max(lengths) == 8
