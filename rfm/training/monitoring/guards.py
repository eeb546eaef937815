"""Steps that went wrong, explained: which rows gave a loss or gradient that is no number.

The rows of the step are run again, each alone, through the same model without an update. Either some of them fail by
themselves, and those are named with their frames, or all of them do, and then the weights have diverged. Cost: nothing
until a step fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rfm.errors import RfmError
from rfm.training.checkpoints.folders import way_on
from rfm.training.monitoring.batch_facts import KEY, describe

NAMED = 5
"""Rows that a message names, at most."""


class NotFiniteError(RfmError):
    """A loss, gradient or weight that is no number; the step that would have used it was not made."""


class MicroBatch(NamedTuple):
    """The loss of one forward pass, still on its device, and the rows it came from."""

    loss: torch.Tensor
    rows: tuple[int, ...]


def check_step(trainer: Any, done: Sequence[MicroBatch], grad_norm: Any) -> None:
    """Raise `NotFiniteError` where a loss or the gradient of the step is not finite; one transfer from the device."""
    norm = torch.as_tensor(grad_norm, dtype=torch.float32)
    norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    values = torch.stack([*(one.loss.detach().float().to(norm.device) for one in done), norm]).tolist()
    if all(map(math.isfinite, values)):
        return
    bad = [one.rows for one, value in zip(done, values[:-1], strict=True) if not math.isfinite(value)]
    name, value = ("loss", next(v for v in values if not math.isfinite(v))) if bad else ("grad_norm", values[-1])
    suspects = [number for rows in (bad or [one.rows for one in done]) for number in rows]
    raise NotFiniteError(
        f"`{name}` must be finite, but is {value} at step {trainer.state.global_step + 1}; "
        f"{_cause(trainer, suspects)}. No update was made and no checkpoint written with it; then "
        f"{way_on(Path(trainer.args.output_dir))}"
    )


def check_weights(trainer: Any) -> None:
    """Raise `NotFiniteError` where a trained weight is not finite: a checkpoint of it would be worth nothing."""
    for name, parameter in trainer.model.named_parameters():
        local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        if parameter.requires_grad and not bool(local.isfinite().all()):
            raise NotFiniteError(
                f"`{name}` must be finite, but is not after step {trainer.state.global_step}, which is not saved; "
                f"{_lower(trainer.args)}"
            )


def check_evaluation(trainer: Any, metrics: Mapping[str, float]) -> None:
    """Raise `NotFiniteError` where what an evaluation found is no number: nothing could be the best by it."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise NotFiniteError(
                f"`{name}` must be finite, but is {value} at step {trainer.state.global_step}; {_lower(trainer.args)}"
            )


def _lower(args: Any) -> str:
    return f"lower --learning_rate (is {args.learning_rate:g}) or --max_grad_norm (is {args.max_grad_norm:g})"


def _cause(trainer: Any, numbers: Sequence[int]) -> str:
    """Return in words what the rows that a step is blamed on say when they are run alone."""
    listed = "; ".join(describe(number, trainer.train_dataset[number]) for number in numbers[:NAMED])
    more = f"; and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    if trainer.is_fsdp_enabled:  # a row alone would need every process to run one
        return f"{_lower(trainer.args)}, and look at the rows of this process in it: {listed}{more}"
    failing = [number for number in numbers if not _runs_alone(trainer, number)]
    if not failing:
        return f"no row of this process gives it alone, so it came from another one or from their sum: {listed}{more}"
    if len(failing) == len(numbers) > 1:
        return f"{_lower(trainer.args)}: every row of the batch gives it, the weights have diverged; {listed}{more}"
    named = "; ".join(describe(number, trainer.train_dataset[number]) for number in failing[:NAMED])
    return f"{len(failing)} of {len(numbers)} rows of the batch give it alone, look at them: {named}"


def _runs_alone(trainer: Any, number: int) -> bool:
    """Run one row forwards and backwards without other processes and tell whether all numbers are finite."""
    batch = trainer._prepare_inputs(trainer.data_collator([trainer.train_dataset[number]]))
    batch.pop(KEY, None)
    trainer.model.zero_grad()
    loss = trainer.model(**batch).loss
    if not bool(loss.isfinite()):
        return False
    loss.backward()
    gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    return all(bool(gradient.isfinite().all()) for gradient in gradients)
