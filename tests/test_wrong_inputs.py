"""What a user can get wrong: each gives one message that names it and the way out, and a status that is not 0."""

import json
import shutil
from pathlib import Path

import pytest
from checkpoints import random_checkpoint
from vqa_fakes import fake_dataset, row, write_dataset, write_frames
from worlds import make_world

from rfm.cli import run_command
from rfm.command_table import COMMANDS
from rfm.files.lock import exclusive
from rfm.model import quantization, unsloth_import

GENERATE, TRAIN, EVALUATE, CHECK = ("generate",), ("train",), ("evaluate",), ("check-collator",)
INGEST = ("ingest", "videos")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fails(capsys, caplog):
    """Run a command that must fail; returns what the user sees."""

    def run(name, *arguments):
        status = run_command(name, [str(argument) for argument in arguments], f"rfm {' '.join(name)}")
        seen = capsys.readouterr().err
        assert status == 1
        assert "Traceback" not in seen
        return seen + caplog.text

    return run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"), "toy_train", episodes=6)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 6, episodes=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return random_checkpoint(tmp_path_factory.mktemp("model") / "final")


@pytest.fixture
def old_dataset(tmp_path):
    """What `Dataset.from_list` made of samples of two types: the second type has no paths."""
    first, second = ((path, [0, 5]) for path in write_frames(tmp_path, 2))
    rows = [row("preference", "1", "which?", first=first, second=second), row("progress", "5", "how far?")]
    return write_dataset(tmp_path / "old", tmp_path, rows)


def manifest(folder: Path, *rows: dict) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_videos_without_a_manifest(fails, tmp_path):
    (tmp_path / "videos").mkdir()
    seen = fails(INGEST, "videos", "--output", "out")
    assert "error: the videos must be listed in a manifest, but there is no videos/manifest.jsonl or videos/man" in seen
    assert "is not a folder" in fails(INGEST, "nowhere", "--output", "out")


def test_a_manifest_row_without_its_file(fails, tmp_path):
    folder = manifest(tmp_path / "videos", {"path": "gone.mp4", "task": "t"})
    seen = fails(INGEST, folder, "--output", "out")
    assert f"line 1: `path` must name a file in {folder}, but `gone.mp4` is not there" in seen


@pytest.mark.parametrize(("content", "reason"), [(b"", "Invalid data"), (b"no video" * 99, "Invalid data")])
def test_a_video_that_is_empty_or_unreadable(fails, tmp_path, content, reason):
    folder = manifest(tmp_path / "videos", {"path": "bad.mp4", "task": "t"})
    (folder / "bad.mp4").write_bytes(content)
    seen = fails(INGEST, folder, "--output", "out")
    assert f"must be readable, but decoding it gives: {reason}" in seen
    assert "1 rejected" in seen
    assert "bad.mp4" in seen


def test_an_unknown_quality_label_in_a_manifest(fails, tmp_path):
    folder = manifest(tmp_path / "videos", {"path": "a.mp4", "task": "t", "quality_label": "great"})
    (folder / "a.mp4").touch()
    seen = fails(INGEST, folder, "--output", "out")
    assert "line 1: `quality_label` in the manifest must be one of `successful` (or optimal, success" in seen
    assert "but is `great`" in seen


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


def test_a_folder_without_pictures_in_the_place_of_a_video(fails, tmp_path):
    (tmp_path / "videos" / "ep1").mkdir(parents=True)
    folder = manifest(tmp_path / "videos", {"path": "ep1", "task": "t"})
    seen = fails(INGEST, folder, "--output", "out")
    assert "line 1: `path` must name a video, or a folder of pictures, but `ep1` is a folder without a picture" in seen


@pytest.mark.parametrize("path", ["../outside.mp4", "/etc/hostname", "deep/../../outside.mp4"])
def test_a_video_outside_its_folder(fails, tmp_path, path):
    (tmp_path / "outside.mp4").touch()
    folder = manifest(tmp_path / "videos", {"path": path, "task": "t"})
    seen = fails(INGEST, folder, "--output", "out")
    assert f"line 1: `path` must lie in {folder}, but `{path}` leads out of it: move the video there, or link" in seen


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


def test_a_source_without_an_episode(fails, tmp_path):
    (tmp_path / "cut.tfrecord").touch()
    seen = fails(("ingest", "rlds"), "cut.tfrecord", "--output", "out")
    assert "error: cut.tfrecord must hold episodes, but holds none" in seen


def test_two_commands_at_once_on_one_output(fails, world, dataset, tmp_path):
    (tmp_path / ".vqa.partial").mkdir()
    with exclusive(tmp_path / ".vqa.partial", wait=False):
        seen = fails(GENERATE, "--output_path", "vqa", "--config_overrides", *of(world))
        assert "error: .vqa.partial must have one writer at a time, but another process is writing it" in seen
    (tmp_path / "run").mkdir()
    with exclusive(tmp_path / "run", wait=False):
        seen = fails(TRAIN, "--dataset_path", dataset, "--model_name", "tiny", "--output_dir", "run")
        assert "error: run must have one writer at a time, but another process is writing it" in seen


ASKING = {
    TRAIN: ("--model_name", "tiny"),
    EVALUATE: ("--model_path", "tiny", "--device", "cpu"),
    CHECK: ("--model_name", "tiny"),
}


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_path_that_is_no_dataset(fails, tmp_path, command):
    assert "error: `dataset_path` must be a folder made by `rfm generate`, but gone is none" in fails(
        command, "--dataset_path", "gone", *ASKING[command]
    )
    (tmp_path / "folder").mkdir()
    seen = fails(command, "--dataset_path", "folder", *ASKING[command])
    assert (
        "error: `dataset_path` must be a dataset saved to disk, but folder lacks dataset_info.json and state.j" in seen
    )


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_dataset_from_before_the_schema_fix(fails, model, old_dataset, command):
    chosen = ("--model_path", model, "--device", "cpu") if command == EVALUATE else ASKING[command]
    seen = fails(command, "--dataset_path", old_dataset, *chosen)
    assert "npz_filepath is None or empty" in seen
    assert "regenerate it with `rfm generate`" in seen


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_frames_whose_folder_is_gone(fails, dataset, command):
    seen = fails(command, "--dataset_path", dataset, "--datasets_root", "gone", *ASKING[command])
    assert (
        "error: `datasets_root` must be a folder, but is gone; name the one with the frames by --datasets_root" in seen
    )


@pytest.mark.parametrize("workers", ["0", "1"])
def test_frames_that_are_gone_stop_the_training(fails, dataset, tmp_path, workers):
    flags = ("--model_name", "tiny", "--max_steps", "1", "--report_to", "none", "--dataloader_num_workers", workers)
    seen = fails(TRAIN, "--dataset_path", dataset, "--datasets_root", tmp_path, *flags)
    assert "error: row 0: frames file " in seen
    assert "must exist, but does not" in seen


@pytest.mark.parametrize(
    ("command", "flag"), [(TRAIN, "--model_name"), (EVALUATE, "--model_path"), (CHECK, "--model_name")]
)
def test_a_checkpoint_folder_without_a_model(fails, dataset, tmp_path, command, flag):
    for name in ("final", "checkpoint-500", "runs"):
        (tmp_path / "run" / name).mkdir(parents=True)
    seen = fails(command, "--dataset_path", dataset, flag, "run")
    run = tmp_path / "run"
    assert (
        f"error: Model not found: {run} holds neither config.json nor adapter_config.json; {run} has checkpoint-500"
        in (seen)
    )
    seen = fails(command, "--dataset_path", dataset, flag, "./run/checkpoint-7")
    assert (
        "Model not found: ./run/checkpoint-7 is not a folder; run has checkpoint-500, final: pass for example run/"
        in seen
    )
    assert "Model not found: nobody/nothing is neither a folder here nor a model" in fails(
        command, "--dataset_path", dataset, flag, "nobody/nothing"
    )


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("model.safetensors", None, "error: Model not found: {} must hold model.safete"),
        ("model.safetensors", b"cut", "error: Model not found: {}/model.safetensors must"),
        ("config.json", b"{", "error: Model not found: config.json in {} can't be used (It looks like"),
        ("config.json", b"{}", "error: Model not found: config.json in {} can't be used (Unrecognized model"),
        ("rfm_config.json", b"{", "error: {}/rfm_config.json must be JSON, but is not: Expecting"),
        ("rfm_config.json", b"[]", "error: {}/rfm_config.json must hold a JSON object, but holds a list"),
        ("tokenizer.json", None, "error: the tokenizer of {} must be of its model, "),
    ],
)
def test_a_checkpoint_that_is_damaged(fails, dataset, model, tmp_path, file, content, expected):
    shutil.copytree(model, tmp_path / "damaged")
    (tmp_path / "damaged" / "checkpoint_files.json").unlink()  # which would say by itself that the file has changed
    if content is None:
        (tmp_path / "damaged" / file).unlink()
    else:
        (tmp_path / "damaged" / file).write_bytes(content)
    seen = fails(EVALUATE, "--dataset_path", dataset, "--model_path", "damaged", "--device", "cpu")
    assert expected.format(tmp_path / "damaged") in seen


def test_unsloth_that_is_not_installed(fails, dataset, monkeypatch):
    monkeypatch.setattr(unsloth_import, "find_spec", lambda _: None)
    seen = fails(TRAIN, "--dataset_path", dataset, "--use_unsloth")
    assert "error: unsloth requested but not installed: pip install unsloth" in seen
    assert "remove --use_unsloth" in seen


def test_4_bits_without_their_library(fails, dataset, monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda _: None)
    seen = fails(TRAIN, "--dataset_path", dataset, "--quantization")
    assert (
        "error: `quantization` needs bitsandbytes, which is not installed; pip install 'rfm-vqa[quantization]'" in seen
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--quantization", "--lora_rank", "0"], "error: `lora_rank` must be > 0 with `quantization`, but is 0"),
        (["--learning_rate", "-1"], "error: `learning_rate` must be >= 0, but is -1.0"),
        (["--lora_rank", "999999999"], "error: `lora_rank` must be <= 4096, but is 999999999"),
        (["--save_total_limit", "0"], "error: `save_total_limit` must be >= 1, but is 0"),
        (["--seed", "-1"], "error: `seed` must be >= 0, but is -1"),
        (["--seed", "9" * 14], "error: `seed` must be <= 4294967295, but is 99999999999999"),
        (["--run_name", "../../x"], "error: `run_name` must be a name, but leads to another folder: ../../x"),
        (["--learning_rate", "nan"], "error: `learning_rate` must be a number, but is nan"),
        (["--num_train_epochs", "0"], "error: `num_train_epochs` must be > 0 and finite, but is 0.0"),
        (["--num_train_epochs", "inf"], "error: `num_train_epochs` must be > 0 and finite, but is inf"),
        (["--max_steps", "0"], "error: `max_steps` must be >= 1, or -1 for all epochs, but is 0"),
        (["--resume_from_checkpoint", "latest"],
         "error: `resume_from_checkpoint` must find a checkpoint, but outputs/vqa_training holds no checkpoint-*; "
         "leave it out to train from the start"),
        (
            ["--config_overrides", "data.resized_height=33", "data.resized_width=32"],
            "must be a positive multiple of 16",
        ),
    ],
)  # fmt: skip
def test_settings_of_a_training(fails, dataset, flags, expected):
    assert expected in fails(TRAIN, "--dataset_path", dataset, "--model_name", "tiny", *flags)


def test_a_file_in_the_place_of_a_folder(fails, dataset, tmp_path):
    (tmp_path / "taken").touch()
    seen = fails(TRAIN, "--dataset_path", dataset, "--model_name", "tiny", "--output_dir", "taken")
    assert "error: `output_dir` must be a folder, but taken is a file; name another" in seen
    assert "error: `output_path` must be a folder, but taken is a file; name another" in fails(
        GENERATE, "--output_path", "taken", "--num_samples", "1"
    )


def test_settings_of_an_evaluation(fails, dataset, model):
    paths = ("--model_path", model, "--dataset_path", dataset)
    assert "error: `batch_size` must be at least 1, but is 0" in fails(EVALUATE, *paths, "--batch_size", "0")
    assert "error: `max_new_tokens` must be at most 32768" in fails(EVALUATE, *paths, "--max_new_tokens", "99999999")
    beams = ("--decoding", "beam", "--num_beams", "999999")
    assert "error: `num_beams` must be at most 256, but is 999999" in fails(EVALUATE, *paths, *beams)
    assert "`device` must be auto, cuda, cuda:N, mps or cpu, but is 'gpu'" in fails(EVALUATE, *paths, "--device", "gpu")
    assert "error: `output_path` must name a file, but . is a folder" in fails(EVALUATE, *paths, "--output_path", ".")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_flag_that_does_not_exist(capsys, command):
    with pytest.raises(SystemExit) as caught:
        run_command(command, ["--does_not_exist"], "rfm")
    assert caught.value.code == 2
    assert "usage: rfm" in capsys.readouterr().err
