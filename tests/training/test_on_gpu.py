"""Whole commands on a pretended GPU: everything lies where it must, and results are those of a CPU."""

import json

import pytest
import torch
from pretended_gpu import pretended_gpu
from runs import logged, losses, tiny_run
from vqa_fakes import fake_dataset

from rfm.evaluation.evaluate import evaluate
from rfm.evaluation.options import EvaluateOptions
from rfm.export.merge import merge
from rfm.export.options import MergeOptions
from rfm.training.run import train

PACKED = {"packing": True, "max_tokens": 600}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 12, episodes=4)


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_checkpointing": True},
        {"freeze_vision_tower": True, "use_multi_image": True},
        {"lora_rank": 4, **PACKED},
        {"lora_rank": 4, "freeze_vision_tower": True, "gradient_checkpointing": True},
        {"optim": "adamw_8bit", **PACKED, "gradient_accumulation_steps": 2},
        {"optim": "muon"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_strategy_trains_on_a_gpu(dataset, tmp_path, changes):
    settings = {"max_steps": 2, "save_strategy": "no", **changes}
    dtype = "float32" if changes.get("optim") == "muon" else "bfloat16"
    train(tiny_run(dataset, tmp_path / "cpu", model_dtype=dtype, **settings))
    with pretended_gpu():
        train(tiny_run(dataset, tmp_path / "gpu", **settings))
    assert losses(tmp_path / "gpu") == pytest.approx(losses(tmp_path / "cpu"), rel=0.02)


def test_training_is_evaluated_interrupted_and_gone_on_with_on_a_gpu(dataset, tmp_path):
    settings = {"eval_dataset_path": str(dataset), "eval_steps": 2, "save_steps": 2, "lr_scheduler_type": "constant"}
    with pretended_gpu():
        train(tiny_run(dataset, tmp_path / "whole", max_steps=4, **settings))
        train(tiny_run(dataset, tmp_path / "cut", max_steps=2, **settings))
        train(tiny_run(dataset, tmp_path / "cut", max_steps=4, resume_from_checkpoint="latest", **settings))
    for name in ("loss", "eval_loss", "eval_preference_accuracy", "eval_progress_mae"):
        assert logged(tmp_path / "cut", name) == logged(tmp_path / "whole", name)


def test_a_packed_step_hardly_waits_for_the_gpu(dataset, tmp_path):
    counts = []
    for steps in (2, 6):
        with pretended_gpu() as gpu:
            train(tiny_run(dataset, tmp_path / str(steps), max_steps=steps, logging_steps=100, **PACKED))
        counts.append(sum(gpu.waits.values()))
    assert (counts[1] - counts[0]) / 4 <= 16  # most of them stock code's, for frame grids and placeholders


@pytest.mark.parametrize("decoding", ["greedy", "beam", "sample", "constrained", "scored"])
def test_evaluation_answers_on_a_gpu_as_on_a_cpu(dataset, checkpoint, tmp_path, decoding):
    options = {"model_path": str(checkpoint), "dataset_path": str(dataset), "decoding": decoding, "batch_size": 4}
    evaluate(EvaluateOptions(output_path=str(tmp_path / "cpu.json"), save_predictions=True, **options))
    with pretended_gpu():
        evaluate(EvaluateOptions(output_path=str(tmp_path / "gpu.json"), save_predictions=True, **options))
    cpu, gpu = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("cpu", "gpu"))
    assert len(gpu["predictions"]) == len(cpu["predictions"]) == 12
    same = [
        one["predicted"] == other["predicted"]
        for one, other in zip(cpu["predictions"], gpu["predictions"], strict=True)
    ]
    assert sum(same) >= 9  # bfloat16 may turn what is nearly even


def test_an_adapter_is_merged_on_a_gpu(dataset, tmp_path):
    with pretended_gpu():
        final = train(tiny_run(dataset, tmp_path / "run", max_steps=1, save_strategy="no", lora_rank=4))
        agreement = merge(MergeOptions(checkpoint=str(final), output=str(tmp_path / "merged")))
    assert agreement.relative < 0.05


def test_the_pretence_refuses_what_cuda_refuses():
    with pretended_gpu() as gpu:
        there, here = torch.ones(2, 3, device="cuda"), torch.ones(3)
        for operation in (lambda: there + here, lambda: here.add_(there[0]), lambda: torch.cat([there[0], here])):
            with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
                operation()
        with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
            there.numpy()
        assert (there * 2.0 + here[0]).device.type == there[here.long()[:2] * 0].device.type == "cuda"
        assert not gpu.waits
        assert there.sum().item() == 6
        assert there.cpu().device.type == "cpu"
        assert sum(gpu.waits.values()) == 2
    assert not torch.cuda.is_available()
    assert there.device.type == "cpu"


def _predicted(results):
    return [prediction["predicted"] for prediction in json.loads(results.read_text())["predictions"]]


@pytest.fixture(scope="module")
def checkpoint(dataset, tmp_path_factory):
    return train(tiny_run(dataset, tmp_path_factory.mktemp("trained"), max_steps=20, save_strategy="no"))
