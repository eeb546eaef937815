"""The flags of `rfm generate`."""

import dataclasses

import pytest
from generating import config_of, files, options, rows_of

from rfm.errors import ConfigError
from rfm.generation.generate import GenerateOptions, generate
from rfm.generation.options import Unasked

pytestmark = pytest.mark.usefixtures("small_chunks")


def test_the_seed_is_that_of_the_flag_or_of_the_configuration(world, tmp_path):
    by_flag = generate(options(world, tmp_path / "a", seed=7, num_samples=50))
    by_key = generate(options(world, tmp_path / "b", "data.seed=7", num_samples=50))
    assert rows_of(by_flag) == rows_of(by_key)
    assert config_of(by_flag)["seed"] == config_of(by_flag)["config"]["data"]["seed"] == 7


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
    with pytest.raises(ConfigError, match=r"`output_path` .*vqa exists; add --overwrite to replace it, or name"):
        generate(options(world, tmp_path / "vqa", num_samples=20))
    assert files(tmp_path / "vqa") == before
    generate(options(world, tmp_path / "vqa", num_samples=20, overwrite=True))
    assert len(rows_of(tmp_path / "vqa")) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]


def test_overwriting_is_for_datasets_only(world, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("…")
    (tmp_path / "file").write_text("…")
    for name, said in (
        ("precious", "free or a VQA dataset, but .* holds thesis.tex"),
        ("file", "a folder, but .*file is"),
    ):
        with pytest.raises(ConfigError, match=f"`output_path` must be {said}"):
            generate(options(world, tmp_path / name, num_samples=10, overwrite=True))
    assert (tmp_path / "precious" / "thesis.tex").exists()
    (tmp_path / "empty").mkdir()
    assert len(rows_of(generate(options(world, tmp_path / "empty", num_samples=10, overwrite=True)))) == 10


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
        (
            {"eval_set": "prefix"},
            "`eval_set` must be one of prefixes, ranking, confusion, instruction, quality, but is",
        ),
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
