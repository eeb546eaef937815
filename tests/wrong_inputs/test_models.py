"""What a user can get wrong with datasets and models: one message each, with the way out, and a status not 0."""

import shutil
from pathlib import Path

import pytest

from rfm.cli import run_command
from rfm.command_table import COMMANDS
from rfm.model import quantization, unsloth_import

GENERATE, TRAIN, EVALUATE, CHECK = ("generate",), ("train",), ("evaluate",), ("check-collator",)


def of(world: Path, *more: str) -> tuple[str, ...]:
    return (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", *more)


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
