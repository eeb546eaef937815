"""What to change when a step does not fit into memory, and by how much that would help.

The way out depends on what the memory went to. So the step that failed is estimated again (`memory`) under each setting
that is not in use yet, and the message gives the differences. Nothing is computed until memory runs out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from rfm.errors import RfmError
from rfm.training.budget.memory import BatchSize, Memory
from rfm.training.budget.outline import estimate_run
from rfm.training.monitoring.batch_facts import BatchFacts
from rfm.training.options import TrainOptions

CPU_MESSAGE = "DefaultCPUAllocator"
WORTH_IT = 0.02
"""Share of the estimate that a change must save to be named."""


class OutOfMemoryError(RfmError):
    """A step that needed more memory than there is."""


class WayOut(NamedTuple):
    """One change to a run: its flags, and the run after it."""

    flags: str
    options: TrainOptions
    size: BatchSize


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a lack of memory, of a GPU or of the machine, from other errors."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and CPU_MESSAGE in str(error)
    )


def explain(error: BaseException, trainer: Any, options: TrainOptions) -> OutOfMemoryError:
    """Return the error that says what to change."""
    model = trainer.model.get_base_model() if hasattr(trainer.model, "get_base_model") else trainer.model
    facts: BatchFacts | None = trainer.largest
    reason = str(error).splitlines()[0][:200]
    if facts is None:
        return OutOfMemoryError(
            f"Memory ran out before the first step: {reason}; take a smaller model, or --quantization"
        )
    size = BatchSize(len(facts.rows), facts.width, facts.patches, facts.answer_tokens)
    now = estimate_run(options, size, model.config)
    ways = "; ".join(_described(ways_out(options, size), now, model.config))
    return OutOfMemoryError(
        f"Memory ran out at step {trainer.state.global_step + 1}, largest batch so far {size.rows} rows, "
        f"{size.positions} tokens with padding ({reason}). Estimated need: {now}. Change one of: "
        f"{ways or 'the model, for a smaller one'}"
    )


def ways_out(options: TrainOptions, size: BatchSize) -> Iterator[WayOut]:
    """Yield the changes that are left to make, from those that cost least in what is learnt."""
    batch, accumulation = options.per_device_train_batch_size, options.gradient_accumulation_steps
    if options.packing:
        tokens = options.max_tokens // 2
        yield WayOut(f"--max_tokens {tokens}", replace(options, max_tokens=tokens), size.scaled(0.5))
    elif batch > 1:
        smaller = replace(options, per_device_train_batch_size=batch // 2, gradient_accumulation_steps=accumulation * 2)
        flags = f"--per_device_train_batch_size {batch // 2} --gradient_accumulation_steps {accumulation * 2}"
        yield WayOut(flags, smaller, size.scaled(batch // 2 / batch))
    if not options.gradient_checkpointing:
        flags = "--gradient_checkpointing (drop --no_gradient_checkpointing)"
        yield WayOut(flags, replace(options, gradient_checkpointing=True), size)
    if options.optim == "adamw" and not options.rank:
        yield WayOut("--optim adamw_8bit", replace(options, optim="adamw_8bit"), size)
    yield WayOut(
        "half the visual tokens (half of data.max_frames at generation, or data.resized_height and data.resized_width "
        "0.7 times as large)", options, size.with_tokens(0.5),
    )  # fmt: skip
    yield from _fewer_weights(options, size)


def _fewer_weights(options: TrainOptions, size: BatchSize) -> Iterator[WayOut]:
    if not options.freeze_vision_tower:
        yield WayOut("--freeze_vision_tower", replace(options, freeze_vision_tower=True), size)
    if not options.rank:
        adapted = replace(options, lora_rank=16, optim="adamw")
        yield WayOut("--lora_rank 16", adapted, size)
        yield WayOut("--lora_rank 16 --quantization", replace(adapted, quantization=True), size)
    elif not options.quantization:
        yield WayOut("--quantization", replace(options, quantization=True), size)


def _described(ways: Iterator[WayOut], now: Memory, config: Any) -> Iterator[str]:
    for way in ways:
        saved = now.total - estimate_run(way.options, way.size, config).total
        if saved > WORTH_IT * now.total:
            yield f"{way.flags}: {saved / 1e9:.3g} GB less"
