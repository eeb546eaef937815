"""Two processes on one machine, over gloo: the same losses as one process with the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import fsdp_on_cpu
import parts_orderly
import pytest
import torch
from forked import together
from patience import PATIENCE
from runs import logged, losses, tiny_run
from safetensors.torch import load_file
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen3VLForConditionalGeneration
from vqa_fakes import fake_dataset

from rfm.batch.bad_rows import left_out
from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.model.load import load_model
from rfm.training.options import TrainOptions
from rfm.training.run import train

ROOT = Path(__file__).parents[2]
BESIDE = Path(sys.executable).parent
TORCHRUN = [str(BESIDE / "torchrun"), "--standalone", "--nproc_per_node=2"]
ACCELERATE = [
    str(BESIDE / "accelerate"),
    "launch",
    "--num_processes=2",
    "--mixed_precision=no",
    "--main_process_port=0",
]
SAME = {"eval_strategy": "steps", "eval_steps": 2, "save_steps": 2}
METRICS = ("loss", "grad_norm", "eval_loss", "eval_preference_accuracy", "eval_progress_mae", "eval_progress_rmse")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 12, episodes=4)


@pytest.fixture(scope="module")
def alone(dataset, tmp_path_factory):
    return train(tiny_run(dataset, tmp_path_factory.mktemp("alone"), **SAME, eval_dataset_path=str(dataset)))


def words(options: TrainOptions) -> list[str]:
    flags = []
    for name, value in vars(options).items():
        if isinstance(value, bool):
            flags += [f"--{name}"] if value else []
        elif value not in (None, ()):
            flags += [f"--{name}={value}"]
    return [*flags, "--no_gradient_checkpointing"]


@pytest.mark.parametrize(
    "command",
    [
        [*TORCHRUN, parts_orderly.__file__],
        [*ACCELERATE, "--config_file=launch/ddp.yaml", "-m", "rfm", "train"],
        [*ACCELERATE, "--config_file=launch/fsdp.yaml", fsdp_on_cpu.__file__],
    ],
    ids=["ddp torchrun", "ddp accelerate", "fsdp accelerate"],
)
def test_two_processes_are_one_with_twice_the_batch(dataset, alone, tmp_path, command):
    options = tiny_run(
        dataset, tmp_path, **SAME, eval_dataset_path=str(dataset), per_device_train_batch_size=2,
        per_device_eval_batch_size=5,
    )  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*command, *words(options)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    for name in METRICS:
        assert logged(tmp_path, name) == pytest.approx(logged(alone.parent, name), rel=1e-5), name
    mine, theirs = load_file(alone / "model.safetensors"), load_file(tmp_path / "final" / "model.safetensors")
    assert all(torch.allclose(theirs[name], value, atol=1e-5) for name, value in mine.items())
    assert load_model(tmp_path / "checkpoint-2").form is not None


def test_an_adapter_on_shards_and_going_on_with_it(dataset, tmp_path):
    options = tiny_run(
        dataset, tmp_path / "out", per_device_train_batch_size=2, fsdp=True, lora_rank=4, save_steps=2,
        lr_scheduler_type="constant",
    )  # fmt: skip
    run = together(2, tmp_path / "first", fsdp_on_cpu.main, words(options))
    assert not run.failed, run.errors
    whole = losses(tmp_path / "out")
    for name in ("checkpoint-4", "final"):
        for file in (tmp_path / "out" / name).iterdir():
            file.unlink()
        (tmp_path / "out" / name).rmdir()
    run = together(2, tmp_path / "second", fsdp_on_cpu.main, [*words(options), "--resume_from_checkpoint=latest"])
    assert not run.failed, run.errors
    assert losses(tmp_path / "out") == pytest.approx(whole, rel=1e-5)
    assert type(load_model(tmp_path / "out" / "final").model).__name__.startswith("Peft")


def test_what_fsdp_wraps_is_what_both_families_name():
    text = (ROOT / "launch" / "fsdp.yaml").read_text()
    for model in (Qwen3VLForConditionalGeneration, Qwen2_5_VLForConditionalGeneration):
        assert len(model._no_split_modules) == 2
        assert all(name in text for name in model._no_split_modules)


def test_sharing_with_nobody_is_an_error(dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"`fsdp` must have processes to share the model between, but there is one; "):
        train(tiny_run(dataset, tmp_path, fsdp=True))


def test_several_gpus_in_one_process_are_refused(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"One process must see one GPU, but sees 2; start with `torchrun"):
        train(tiny_run(dataset, tmp_path))


def test_rows_left_out_do_not_part_the_processes(tmp_path):
    """Half of the files are gone: with one row a batch, one process often has nothing where the other has a row."""
    dataset = fake_dataset(tmp_path / "data", 12, episodes=4)
    for path in sorted((tmp_path / "data" / "root").rglob("*.npz"))[:2]:
        path.unlink()
    one, two = (
        tiny_run(dataset, tmp_path / name, on_bad_row="skip", per_device_train_batch_size=rows)
        for name, rows in (("one", 2), ("two", 1))
    )
    train(one)
    run = together(2, tmp_path / "said", run_command, ("train",), words(two), "rfm train")
    assert not run.failed, run.errors
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    listed = [{entry.number for entry in left_out(tmp_path / name / "bad_rows.jsonl")} for name in ("one", "two")]
    assert listed[0]
    assert listed[0] <= listed[1]  # processes load one batch ahead
