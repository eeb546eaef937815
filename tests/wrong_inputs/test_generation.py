"""What a user can get wrong in a generation: one message each, which names it and the way out, and a status not 0."""

import json
from pathlib import Path

import pytest

from rfm.files.lock import exclusive

GENERATE, TRAIN, EVALUATE, CHECK = ("generate",), ("train",), ("evaluate",), ("check-collator",)


INGEST = ("ingest", "videos")


def manifest(folder: Path, *rows: dict) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_an_unknown_quality_label_in_a_dataset(fails, tmp_path, world):
    from datasets import load_from_disk

    saved = load_from_disk(str(world / "toy_train" / "processed_dataset"))
    labels = saved["quality_label"][:]
    columns = {**saved.to_dict(), "quality_label": ["great", *labels[1:]]}
    type(saved).from_dict(columns).save_to_disk(str(tmp_path / "toy_train" / "processed_dataset"))
    seen = fails(GENERATE, "--output_path", "vqa", "--config_overrides", *of(tmp_path))
    assert "`quality_label` in row 0 of `toy_train` must be one of `successful`" in seen
    assert not (tmp_path / "vqa").exists()


def of(world: Path, *more: str) -> tuple[str, ...]:
    return (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", *more)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--num_samples", "0"], "error: `num_samples` must be at least 1, but is 0"),
        (["--num_samples", "9" * 12], "error: `num_samples` must be at most 2147483647, but is 999999999999"),
        (["--num_epochs", "9" * 12], "error: `num_epochs` must be at most 2147483647, but is 999999999999"),
        (["--seed", "-1"], "error: `seed` must be at least 0, but is -1"),
        (["--config_name", ""], "error: `config_name` must not be empty; give it a value, or leave it out"),
        (["--config_name", "confg"], "error: `config_name` must name a configuration in rfm/configs (config)"),
        (["--config_overrides", "data.max_frmes=8"], "the nearest is 'data.max_frames'"),
        (["--config_overrides", "data.max_frames=many"], "could not be converted to Integer"),
        (["--config_overrides", "data.sample_type_ratio=[0,0,0]"], "error: `data.sample_type_ratio` must have a share"),
        (["--config_overrides", "data.datasets_root=nowhere"], "error: `data.datasets_root` must name a folder of"),
    ],
)  # fmt: skip
def test_settings_of_a_generation(fails, tmp_path, flags, expected):
    assert expected in fails(GENERATE, "--output_path", "vqa", *flags)
    assert not (tmp_path / "vqa").exists()


def test_a_configuration_whose_base_is_not_there(fails, tmp_path):
    (tmp_path / "mine.yaml").write_text("defaults: [base]\n")
    seen = fails(GENERATE, "--output_path", "vqa", "--config_name", "mine.yaml")
    assert (
        "error: Could not load 'base', which `defaults` of configuration 'mine.yaml' names; it may name base_co" in seen
    )


def test_a_dataset_key_that_is_not_there(fails, world):
    seen = fails(GENERATE, "--output_path", "vqa", "--config_overrides", f"data.datasets_root={world}")
    assert f"dataset key `metaworld_train` must name a dataset under {world}, but those there are: `toy_train`" in seen


def test_trajectories_that_are_all_too_short(fails, world):
    overrides = of(world, "data.min_frames_per_trajectory=99")
    seen = fails(GENERATE, "--output_path", "vqa", "--config_overrides", *overrides)
    assert "must hold trajectories of at least data.min_frames_per_trajectory=99 frames, but none is left" in seen


def test_an_output_that_exists(fails, world, dataset, tmp_path):
    (tmp_path / "vqa").mkdir()
    (tmp_path / "vqa" / "generation_config.json").write_text("{}")
    seen = fails(GENERATE, "--output_path", "vqa", "--config_overrides", *of(world))
    assert "error: `output_path` vqa exists; add --overwrite to replace it, or name another\n" in seen
    (tmp_path / "run" / "checkpoint-5").mkdir(parents=True)
    seen = fails(TRAIN, "--dataset_path", dataset, "--model_name", "tiny", "--output_dir", "run")
    assert (
        "error: `output_dir` must hold what `rfm train` wrote where it writes and deletes, but run holds checkpoint-5"
        in (seen)
    )
    (tmp_path / "out" / "videos" / "processed_dataset").mkdir(parents=True)
    (tmp_path / "out" / "videos" / "dataset_info.json").write_text("{}")
    folder = manifest(tmp_path / "videos", {"path": "a.mp4", "task": "t"})
    (folder / "a.mp4").touch()
    seen = fails(INGEST, folder, "--output", "out")
    assert "error: `output` out/videos exists; add --overwrite to replace it, or name another" in seen


def test_a_list_that_is_not_separated_by_commas(fails, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "manifest.csv").write_text("path;task\na.mp4;pick\n")
    seen = fails(INGEST, "videos", "--output", "out")
    assert "separated by commas, but lacks path, task: it is `path;task`" in seen


def test_numbers_too_large_for_anything(fails, dataset, tmp_path):
    folder = manifest(tmp_path / "videos", {"path": "a.mp4", "task": "t"})
    seen = fails(INGEST, folder, "--output", "out", "--height", "99999999", "--width", "99999999")
    assert "error: `height` must be at most 16384 pixels, but is 99999999; `width` must be at most 16384" in seen
    large = ("--resized_height", "99999999", "--resized_width", "64")
    seen = fails(("export", "rows"), dataset, "--format", "trl", "--output", "rows", *large)
    assert "error: `resized_height` must be at most 16384 pixels, but is 99999999" in seen
    seen = fails(GENERATE, "--output_path", "vqa", "--save_batch_size", "9" * 20)
    assert "error: `save_batch_size` must fit into 64 bits, but is 99999999999999999999" in seen


@pytest.mark.parametrize("place", ["taken", "taken/deep"])
def test_an_output_below_a_file(fails, world, tmp_path, place):
    (tmp_path / "taken").touch()
    folder = manifest(tmp_path / "videos", {"path": "a.mp4", "task": "t"})
    (folder / "a.mp4").touch()
    said = (
        "must lie in a folder, but a part of its path is a file" if "/" in place else "taken must be a folder or free"
    )
    assert said in fails(INGEST, folder, "--output", place)
    if "/" in place:
        seen = fails(GENERATE, "--output_path", place, "--config_overrides", *of(world))
        assert "must lie in a folder, but a part of its path is a file" in seen


def test_a_path_that_a_script_left_empty(fails, world, dataset):
    assert "error: `output_path` must not be empty; give it a value, or leave it out" in fails(
        GENERATE, "--output_path", "", "--overwrite", "--config_overrides", *of(world)
    )
    assert "error: `path` must not be empty" in fails(INGEST, "", "--output", "out")
    assert "error: `datasets` must not be empty" in fails(("stats",), dataset, "")


@pytest.mark.parametrize("key", ["split_file", "dataset_success_cutoff_file"])
def test_a_file_of_settings_that_is_no_text(fails, world, tmp_path, key):
    (tmp_path / "bytes").write_bytes(b"\xa1\x84\xff" * 999)
    seen = fails(GENERATE, "--output_path", "vqa", "--config_overrides", *of(world, f"data.{key}=bytes"))
    assert f"error: `data.{key}` must " in seen
    assert "bytes must be UTF-8 text, but is not in line 1 (invalid start byte); save it as UTF-8" in seen
    assert len(seen) < 300


def test_two_commands_at_once_on_one_output(fails, world, dataset, tmp_path):
    (tmp_path / ".vqa.partial").mkdir()
    with exclusive(tmp_path / ".vqa.partial", wait=False):
        seen = fails(GENERATE, "--output_path", "vqa", "--config_overrides", *of(world))
        assert "error: .vqa.partial must have one writer at a time, but another process is writing it" in seen
    (tmp_path / "run").mkdir()
    with exclusive(tmp_path / "run", wait=False):
        seen = fails(TRAIN, "--dataset_path", dataset, "--model_name", "tiny", "--output_dir", "run")
        assert "error: run must have one writer at a time, but another process is writing it" in seen
