"""What `rfm generate` writes, whatever the workers and the files."""

import dataclasses
import hashlib
import shutil
from collections import Counter

import pytest
from datasets import load_from_disk
from generating import ROWS, config_of, files, options, rows_of
from worlds import make_world

from rfm.errors import ConfigError
from rfm.generation import generate as module
from rfm.generation.generate import GenerateOptions, generate
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import read_columns, write_processed_dataset
from rfm.vqa.provenance import trajectory_hashes
from rfm.vqa.schema import SCHEMA

pytestmark = pytest.mark.usefixtures("small_chunks")


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
    assert record["trajectories"] == {"used": 12, "too_short": 0, "contested": 0, "unreadable": []}
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
    catalog = load_catalog(world, ["toy_eval"])
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


def test_eval_mode_asks_about_held_out_trajectories_unless_a_partition_is_named(world, tmp_path):
    for partition, drawn in ((None, "eval"), ("eval", "eval"), ("train", "train")):
        path = generate(options(world, tmp_path / f"{partition}", eval_mode=True, partition=partition, num_samples=20))
        assert {row["data_source"] for row in rows_of(path)} == {f"toy_{drawn}"}
        assert config_of(path)["partition"] == drawn


def test_without_an_evaluation_partition_the_ways_out_are_named(world, tmp_path):
    with pytest.raises(ConfigError) as caught:
        generate(options(world, tmp_path / "vqa", "data.eval_datasets=[held_out]", eval_mode=True))
    text = str(caught.value)
    assert text.startswith("`partition` eval must have its trajectories in data.eval_datasets=['held_out'], but the ")
    for way_out in ("`toy_train`", "data.eval_datasets=…", "`rfm split`", "--partition train"):
        assert way_out in text
    generate(options(world, tmp_path / "vqa", "data.eval_datasets=[held_out]", eval_mode=True, partition="train"))


def test_contested_episodes_are_said_and_counted(world, tmp_path, caplog):
    names = ("id", "task", "task_id", "data_source", "frames", "num_frames", "frames_shape", "quality_label")
    rows = read_columns(world / "toy_train", names).to_pylist()
    failed = next(row for row in rows if row["quality_label"] == "failure")
    made = [Trajectory(**{**row, "frames_shape": tuple(row["frames_shape"])}) for row in rows if row is not failed]
    made.append(Trajectory(**{**failed, "frames_shape": tuple(failed["frames_shape"])}, partial_success=1.0))
    write_processed_dataset(tmp_path / "toy_train", made)
    record = config_of(generate(options(tmp_path, tmp_path / "vqa", num_samples=100)))
    assert record["trajectories"] == {"used": 11, "too_short": 0, "contested": 1, "unreadable": []}
    told = f"contradict each other: {failed['id']} (failure, partial success 1)"
    assert f"not asked: 1 trajectories whose label and `partial_success` {told}" in caplog.text
    assert any(told in note for note in record["notes"])


def test_more_questions_than_whole_episodes_are_reported(world, tmp_path, caplog):
    generate(options(world, tmp_path / "vqa", eval_mode=True, num_samples=200))
    assert "; --eval_set asks each once" in caplog.text


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


def test_an_evaluation_set_within_scenes_needs_records_towards_other_tasks(world, tmp_path):
    scenic = make_world(tmp_path / "scenic", "toy_eval", scene="table")
    made = GenerateOptions("x", eval_set="instruction")
    made = dataclasses.replace(options(scenic, tmp_path / "vqa"), num_samples=made.num_samples, eval_set="instruction")
    kinds = Counter(row["instruction_kind"] for row in rows_of(generate(made)))
    assert set(kinds) == {"own", "same_scene"}
    assert kinds["own"] == kinds["same_scene"] >= 12
    lacking = dataclasses.replace(made, config_overrides=options(world, tmp_path / "none").config_overrides)
    with pytest.raises(ConfigError, match=r"`--eval_set instruction` needs .*`progress_by_task`.*--opposites"):
        generate(dataclasses.replace(lacking, output_path=str(tmp_path / "none")))


def test_a_part_of_an_evaluation_set_of_the_training_trajectories(world, tmp_path):
    path = generate(options(world, tmp_path / "vqa", eval_set="prefixes", num_samples=20, partition="train"))
    assert (config_of(path)["num_samples"], config_of(path)["num_existing"]) == (16, 96)
    assert {row["data_source"] for row in rows_of(path)} == {"toy_train"}
