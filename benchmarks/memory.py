"""Peak memory of a training step of Qwen3-VL-4B, counted operation by operation beside the estimate of `--dry_run`.

    python benchmarks/memory.py [--strategies full lora_frozen]     # half a minute each, no GPU, no weights

The true architecture, our packed rows of two clips of 16 frames at 224 x 224, our losses and our optimizers run on a
GPU that is pretended and holds no numbers (`tests/hollow_gpu.py`); two batches a step, as gradients that are held while
activations are made decide the peak. Kernels' workspaces, CUDA itself and fragmentation are not in it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import train_step
import train_step_run
from random_model import PROMPT, qwen3_vl_4b, use_our_kernels

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hollow_gpu import hollow_gpu

from rfm.model.tiny_tokenizer import build_tokenizer
from rfm.training.budget.memory import BatchSize, Memory
from rfm.training.budget.outline import estimate_run
from rfm.training.loss import answer_loss
from rfm.training.optimizers.choice import optimizer_arguments
from rfm.training.options import TrainOptions
from rfm.training.trainable import prepare_trainable

STRATEGIES = ("full", "frozen", "lora", "lora_frozen")
"""4-bit weights are bitsandbytes' own, which needs numbers."""


class Trace(NamedTuple):
    """What a step took, and what was expected of it."""

    peak: int
    expected: Memory
    size: BatchSize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", nargs="*", choices=STRATEGIES, default=list(STRATEGIES))
    options = parser.parse_args()
    print("| Strategy | Optimizer | Checkpointing | Rows | Counted, GB | Estimated, GB | Difference |")
    print("|---|---|---|---|---|---|---|")
    for strategy in options.strategies:
        for optim in ("adamw",) if "lora" in strategy else ("adamw", "adamw_8bit"):
            for checkpointing, rows in ((True, 4), (False, 8)):
                peak, expected, _ = trace(strategy, optim, checkpointing=checkpointing, rows=rows)
                print(
                    f"| {strategy} | {optim} | {'on' if checkpointing else 'off'} | {rows} | {peak / 1e9:.2f} "
                    f"| {expected.total / 1e9:.2f} | {expected.total / peak - 1:+.1%} |",
                    flush=True,
                )


def trace(strategy: str, optim: str, *, checkpointing: bool, rows: int) -> Trace:
    """Run two steps of two batches each and return their peak."""
    with tempfile.TemporaryDirectory() as folder:
        (setting,) = train_step.settings(train_step.parse(["--strategies", strategy, "--paths", "ours"]), folder)
        data = train_step_run.training_rows(setting)
        options = train_step_run._options(setting, packing=True, gradient_checkpointing=checkpointing, optim=optim)
        with hollow_gpu() as gpu:
            loaded = prepare_trainable(use_our_kernels(train_step_run.draw(setting, "cuda")), options)
            batch = train_step_run._collator(setting, loaded, data, packed=True)([data.rows[i] for i in range(rows)])
            batch = {name: value.to("cuda") for name, value in batch.items() if isinstance(value, torch.Tensor)}
            _steps(loaded.model, batch, options)
            peak = gpu.peak
    size = _size(batch, rows)
    return Trace(peak, _expected(options, size), size)


def _steps(model: Any, batch: dict[str, torch.Tensor], options: TrainOptions) -> None:
    """Train as `rfm train` does; the fused optimizer is for GPUs that compile, and takes no more memory."""
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    make, arguments = optimizer_arguments(options, model)["optimizer_cls_and_kwargs"]
    optimizer = make(trained, **{**arguments, "fused": False})
    for _ in range(2):
        for _ in range(2):
            answer_loss(model(**batch), batch["labels"], torch.tensor(100), packed=True).backward()
        torch.nn.utils.clip_grad_norm_(trained, options.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()


def _size(batch: dict[str, torch.Tensor], rows: int) -> BatchSize:
    tokens, patches = batch["input_ids"].numel(), len(batch["pixel_values_videos"])
    return BatchSize(rows, tokens, patches, batch["logits_to_keep"].numel() // rows)


def _expected(options: TrainOptions, size: BatchSize) -> Memory:
    config = qwen3_vl_4b(build_tokenizer([PROMPT]))
    return estimate_run(replace(options, model_dtype="bfloat16"), size, config)


if __name__ == "__main__":
    main()
