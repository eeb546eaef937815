"""What a trainer really does, seen from inside its process: any subclass of the Trainer of transformers.

Imports only torch and transformers, since it runs in the environments of the peers. `probe(Watch)` goes before the
framework's own imports and hooks `Trainer.train`; batches are those that the framework hands to its training step.

Three questions are answered by experiment at the first step, before the weights change:

- labels: the tokens of each row that carry loss, decoded;
- losses: each row by itself, so that two rows that differ in one frame tell whether that frame is seen;
- weights: the accumulated gradient as a combination of the gradients of the batches' mean losses, by least squares;
  tokens that weigh equally give weights in proportion to the batches' counts of labelled tokens.
"""

from __future__ import annotations

import importlib.util
import inspect
import resource
import time
from dataclasses import dataclass, field
from typing import Any

import torch

MARK = "PEER RESULT "
IGNORED = -100


def declare_operators() -> Any:
    """Let PyPI's torchvision, built for another torch, be imported; keep what is returned."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    if importlib.util.find_spec("torchvision_schemas") is None:  # else the environment declares them itself
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


@dataclass
class Watch:
    """What is seen of a run; `warmup` steps are not timed."""

    warmup: int
    experiments: bool = False
    rows: int = 0
    begun: tuple[float, float] | None = None
    ended: tuple[float, float] = (0.0, 0.0)
    batches: list[dict[str, Any]] = field(default_factory=list)
    """Of the first step."""
    found: dict[str, Any] = field(default_factory=dict)

    def figures(self, log: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the figures of a finished run."""
        assert self.begun is not None, "a run must have more steps than it warms up"
        processor, clock = (end - begin for begin, end in zip(self.begun, self.ended, strict=True))
        return {
            "rows": self.rows,
            "rows_per_processor_second": self.rows / processor,
            "rows_per_second": self.rows / clock,
            "peak_gb": peak_gb(),
            "logged_loss": next(entry["loss"] for entry in log if "loss" in entry),
            **self.found,
        }


def peak_gb() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def now() -> tuple[float, float]:
    """Processor seconds of this process, and the clock."""
    return time.process_time(), time.perf_counter()


def probe(watch: Watch) -> None:
    """Let every Trainer that is started from here on be watched."""
    from transformers import Trainer

    original = Trainer.train

    def train(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        trainer.add_callback(_callback(watch, trainer))
        step = trainer.training_step

        def training_step(model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
            _take(watch, trainer, dict(inputs))
            return step(model, inputs, *rest, **named)

        trainer.training_step = training_step
        return original(trainer, *args, **kwargs)

    Trainer.train = train


def _take(watch: Watch, trainer: Any, inputs: dict[str, Any]) -> None:
    if trainer.state.global_step == 0:
        watch.batches.append(inputs)
    if watch.begun is not None:
        watch.rows += len(inputs["input_ids"])


def _callback(watch: Watch, trainer: Any) -> Any:
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        """Looks at the first step, and takes the time of those that are measured."""

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 0:
                watch.found = _first_step(watch, trainer)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == watch.warmup:
                watch.begun = now()
            watch.ended = now()

    return Steps()


def _first_step(watch: Watch, trainer: Any) -> dict[str, Any]:
    """Return tokens, labels and losses of the batches; gradients are left as they are."""
    model = trainer.model
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    with torch.no_grad():
        rows = [row for batch in watch.batches for row in _rows(model, batch, tokenizer)]
    labelled = sum(row["labelled"] for row in rows)
    found = {
        "tokens_a_row": sum(row["tokens"] for row in rows) / len(rows),
        "loss": sum(sum(row["losses"]) for row in rows) / labelled,
        "answer_loss": sum(sum(row["answer_losses"]) for row in rows) / sum(len(row["answer_losses"]) for row in rows),
        "labels": sorted({row["label"] for row in rows}),
    }
    if watch.experiments:
        found["rows_seen"] = [{key: row[key] for key in ("text", "label", "labelled", "losses")} for row in rows]
        found["batch_tokens"] = [int((batch["labels"][:, 1:] != IGNORED).sum()) for batch in watch.batches]
        found["weights"] = _weights(model, watch.batches)
    watch.batches.clear()
    return found


def _accepted(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """Return what the model itself takes of a batch."""
    whole = model
    while hasattr(whole, "module"):
        whole = whole.module
    known = inspect.signature(type(whole).forward).parameters
    return {name: value for name, value in batch.items() if name in known}


def _rows(model: Any, batch: dict[str, Any], tokenizer: Any) -> list[dict[str, Any]]:
    """Return the text, the labels and the losses at them of each row of a batch."""
    given = _accepted(model, batch)
    labels = given.pop("labels")
    logits = model(**given).logits[:, -labels.shape[1] :].float()
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=IGNORED, reduction="none"
    )
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    shown = batch.get("attention_mask")
    found = []
    for index, ids in enumerate(batch["input_ids"]):
        kept = ids if shown is None else ids[shown[index].bool()]
        at = labels[index, 1:] != IGNORED
        learned, spent = labels[index, 1:][at], losses[index][at]
        stop = (learned == end).nonzero()
        last = int(stop[-1]) + 1 if len(stop) else len(learned)
        found.append(
            {
                "tokens": len(kept),
                "text": tokenizer.decode(kept),
                "label": tokenizer.decode(learned),
                "labelled": len(learned),
                "losses": spent.tolist(),
                "answer_losses": spent[:last].tolist(),
            }
        )
    return found


def _weights(model: Any, batches: list[dict[str, Any]]) -> list[float]:
    """Return what each batch's mean gradient weighs in the gradient that was accumulated, the sum being 1."""
    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    kept = [parameter.grad for parameter in parameters]
    accumulated = torch.cat([gradient.double().flatten() for gradient in kept])
    columns = []
    for batch in batches:
        for parameter in parameters:
            parameter.grad = None
        model(**_accepted(model, batch)).loss.backward()
        gradients = (torch.zeros_like(one) if one.grad is None else one.grad for one in parameters)
        columns.append(torch.cat([gradient.double().flatten() for gradient in gradients]))
    for parameter, gradient in zip(parameters, kept, strict=True):
        parameter.grad = gradient
    found = torch.linalg.lstsq(torch.stack(columns, dim=1), accumulated[:, None]).solution[:, 0]
    return [float(weight) for weight in found / found.sum()]
