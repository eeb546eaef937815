"""Runs with bfloat16 weights, as on a GPU; few steps, since bfloat16 products are slow on most CPUs."""

import dataclasses

import pytest
import torch
from runs import losses, tiny_run
from safetensors.torch import load_file
from tiny_batches import fake_rows
from vqa_fakes import write_dataset

from rfm.errors import ConfigError
from rfm.model.load import load_model
from rfm.training.arguments import training_arguments
from rfm.training.optimizers.adamw import MasterAdamW
from rfm.training.optimizers.choice import optimizer_arguments
from rfm.training.options import TrainOptions
from rfm.training.run import train
from rfm.training.trainable import weights_dtype

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("rows")
    return write_dataset(root / "vqa", root, fake_rows(root, 4))


SHORT = {"model_dtype": "bfloat16", "max_steps": 6, "save_steps": 4, "lr_scheduler_type": "constant", "warmup_steps": 0}


def saved(folder):
    return load_file(next(folder.glob("*.safetensors")))


@pytest.mark.parametrize("changes", [{}, {"optim": "adamw_8bit"}, {"lora_rank": 4}], ids=["full", "8bit", "lora"])
def test_a_run_learns_and_goes_on_to_the_same_losses(dataset, tmp_path, changes):
    whole = tiny_run(dataset, tmp_path / "whole", **SHORT, **changes)
    final = train(whole)
    assert losses(tmp_path / "whole")[-1] < losses(tmp_path / "whole")[0]
    assert {tensor.dtype for tensor in saved(final).values()} == {torch.bfloat16}
    cut = dataclasses.replace(whole, output_dir=str(tmp_path / "cut"), max_steps=4)
    train(cut)
    train(dataclasses.replace(cut, max_steps=6, resume_from_checkpoint="latest"))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_bfloat16_weights_get_masters_and_no_autocast(dataset, tmp_path):
    model = load_model("tiny").model
    options = tiny_run(dataset, tmp_path, bf16=True)
    assert optimizer_arguments(options, model) == {}
    assert training_arguments(options, evaluates=False).bf16
    whole = dataclasses.replace(options, model_dtype="bfloat16")
    kind, settings = optimizer_arguments(whole, model.bfloat16())["optimizer_cls_and_kwargs"]
    assert kind is MasterAdamW
    assert not settings["eight_bit"]
    assert not training_arguments(whole, evaluates=False).bf16


@pytest.mark.parametrize("changes", [{"optim": "adamw_8bit"}, {"model_dtype": "bfloat16"}])
def test_shards_go_with_float32_weights(changes):
    with pytest.raises(ConfigError, match="`fsdp` must go with float32 weights and --optim adamw"):
        TrainOptions(dataset_path="d", fsdp=True, **changes)


def test_on_a_gpu_weights_are_bfloat16_but_for_muon(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for optim, expected in (("adamw", torch.bfloat16), ("adamw_8bit", torch.bfloat16), ("muon", torch.float32)):
        assert weights_dtype(TrainOptions(dataset_path="d", optim=optim)) is expected
    assert weights_dtype(TrainOptions(dataset_path="d", fsdp=True)) is torch.float32
