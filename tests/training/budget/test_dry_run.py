import json
import logging
import math

import pytest
import torch
from qwen_configs import QWEN3_VL_4B
from runs import tiny_run
from vqa_fakes import fake_dataset

from rfm.batch.row_lengths import RowLengths
from rfm.cli import run_command
from rfm.errors import DataError, RfmError
from rfm.training.budget.dry_run import dry_run, steps_of
from rfm.training.budget.memory import BatchSize
from rfm.training.budget.out_of_memory import explain, is_out_of_memory, ways_out
from rfm.training.options import TrainOptions
from rfm.training.run import train
from rfm.training.trainer import VQATrainer


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 10, episodes=4)


def said(options, caplog):
    with caplog.at_level(logging.INFO, logger="rfm"):
        dry_run(options)
    return [record.getMessage() for record in caplog.records]


def test_what_a_run_would_do(dataset, tmp_path, caplog):
    options = tiny_run(dataset, tmp_path / "out", max_steps=-1, num_train_epochs=2.0, per_device_train_batch_size=3)
    lines = said(options, caplog)
    text = "\n".join(lines)
    assert "preference        6 rows of" in text
    assert "progress          4 rows of" in text
    assert "8 steps, 2.00 epochs of 4 steps; a step is 3 rows x 1 accumulated x 1 processes" in text
    assert "cosine schedule, 1 steps of warm-up, peak 0.003" in text
    assert "vision tower           67392 of         67392 parameters train" in text
    assert any(line.startswith("memory of a step: 0.0") and "activations" in line for line in lines)
    shown = [line for line in lines if line.startswith("row ")]
    assert len(shown) == 3
    assert shown[0].endswith("Task: push the button<|im_end|>\n<|im_start|>assistant\n[[ANS: 88<|im_end|>]]")
    assert "<|vision_start|><|video_pad|>x4<|vision_end|>" in shown[0]
    assert not (tmp_path / "out").exists()


def test_steps_are_those_of_the_trainer(dataset, tmp_path, caplog):
    for batch, accumulation in ((3, 1), (4, 2), (2, 3)):
        options = tiny_run(
            dataset, tmp_path / f"{batch}", max_steps=-1, num_train_epochs=1.5, save_strategy="no",
            per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation,
        )  # fmt: skip
        lengths = RowLengths(*(torch.full((10,), value).numpy() for value in (100, 60, 5)))
        train(options)
        state = json.loads((tmp_path / f"{batch}" / "trainer_state.json").read_text())
        assert state["max_steps"] == steps_of(options, lengths)[0]


def test_a_model_of_which_there_is_only_the_configuration(dataset, tmp_path, caplog):
    (tmp_path / "config.json").write_text(json.dumps(QWEN3_VL_4B))
    options = TrainOptions(
        dataset_path=str(dataset), model_name=str(tmp_path), lora_rank=16, freeze_vision_tower=True,
        model_dtype="bfloat16", config_overrides=("data.resized_height=224", "data.resized_width=224"),
    )  # fmt: skip
    text = "\n".join(said(options, caplog))
    assert "has no tokenizer: text counts a token a letter, an upper bound" in text
    assert "language model             0 of    4022468096 parameters train" in text
    assert "memory of a step: 1" in text
    assert "no batch is shown" in text


def test_a_model_that_the_hub_does_not_give(dataset):
    with pytest.raises(DataError, match=r"Model not found: Qwen/Qwen3-VL-4B-Instruct is neither a folder here nor a"):
        dry_run(TrainOptions(dataset_path=str(dataset)))


def test_the_command(dataset, tmp_path):
    flags = [f"--dataset_path={dataset}", "--model_name=tiny", "--dry_run", f"--output_dir={tmp_path / 'out'}"]
    assert run_command(("train",), flags, program="rfm train") == 0
    assert not (tmp_path / "out").exists()


def hungry(monkeypatch, ask):
    """Ask for more memory than there is in the second step."""
    compute = VQATrainer.compute_loss

    def computing(self, *args, **kwargs):
        if self.state.global_step == 1:
            ask()
        return compute(self, *args, **kwargs)

    monkeypatch.setattr(VQATrainer, "compute_loss", computing)


def lacking_gpu_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.mark.parametrize(
    "ask", [lambda: torch.empty(2**50, dtype=torch.uint8), lacking_gpu_memory], ids=["machine", "GPU"]
)
def test_a_step_without_memory_says_what_to_change(dataset, tmp_path, monkeypatch, ask):
    hungry(monkeypatch, ask)
    with pytest.raises(RfmError) as caught:
        train(tiny_run(dataset, tmp_path, save_strategy="no"))
    text = str(caught.value)
    assert "Memory ran out at step 2, largest batch so far 4 rows, " in text
    assert "Estimated need: 0.0" in text
    for way in (
        "--per_device_train_batch_size 2 --gradient_accumulation_steps 2: 0.00",
        "--gradient_checkpointing (drop --no_gradient_checkpointing): 0.00",
        "half the visual tokens (half of data.max_frames at generation, or data.resized_height",
        "--lora_rank 16: 0.00",
    ):
        assert way in text
    assert text.count(" GB less") >= 4


def test_other_errors_keep_their_traceback(dataset, tmp_path, monkeypatch):
    hungry(monkeypatch, lambda: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        train(tiny_run(dataset, tmp_path, save_strategy="no"))
    assert is_out_of_memory(MemoryError())


def test_what_is_on_already_is_not_proposed():
    size = BatchSize(1, 1000, 3136, 8)
    options = TrainOptions(dataset_path="d", quantization=True, freeze_vision_tower=True, per_device_train_batch_size=1)
    assert [way.flags.split(" (")[0] for way in ways_out(options, size)] == ["half the visual tokens"]
    packed = TrainOptions(dataset_path="d", packing=True, lora_rank=8, gradient_checkpointing=False)
    flags = [way.flags.split(" (")[0] for way in ways_out(packed, size)]
    assert flags == [
        "--max_tokens 8192", "--gradient_checkpointing", "half the visual tokens", "--freeze_vision_tower",
        "--quantization",
    ]  # fmt: skip
    assert math.isclose(size.scaled(0.5).rows, 1)
    trainer = type("Trainer", (), {"model": torch.nn.Linear(1, 1), "largest": None})
    assert "Memory ran out before the first step: no room" in str(explain(MemoryError("no room"), trainer, options))
