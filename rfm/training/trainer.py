"""The stock Trainer with what its callbacks cannot do; losses, steps and schedules are the Trainer's own.

- A step is checked before it is made: neither weights nor checkpoints ever see a loss or gradient that is no number,
  and the rows that gave it are named (callbacks see neither rows nor the losses of micro-batches).
- A checkpoint is completed (tokenizer, `rfm_config.json`) and sealed before older ones are deleted, so that at any
  moment one whole checkpoint exists (the Trainer deletes first and calls `on_save` last).
- Evaluation reads exact answers off the pass that gives the loss (`monitoring.evaluation`), from padded batches
  whatever training does.
- Each log entry says what the step cost: rows and tokens a second over all processes, the share of the time spent
  waiting for data, and memory.
"""

from __future__ import annotations

import logging
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from rfm.batch.packing import PackedBatches
from rfm.files import seal
from rfm.model.saving import written_whole
from rfm.model.weights import check_names
from rfm.training.loss import answer_loss
from rfm.training.monitoring import guards
from rfm.training.monitoring.batch_facts import KEY, BatchFacts
from rfm.training.monitoring.evaluation import HeldOut, judge
from rfm.training.monitoring.guards import MicroBatch
from rfm.training.options import LATEST
from rfm.training.packed_batches import packed_loader

logger = logging.getLogger(__name__)

GB = 1e9


@dataclass
class Meter:
    """What was done since the last log entry, in this process."""

    since: float = field(default_factory=time.perf_counter)
    rows: int = 0
    tokens: int = 0
    waited: float = 0.0
    paused: float = 0.0
    """Seconds of evaluating and saving, which say nothing about the speed of training."""


class VQATrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """See the module; `complete` writes what a checkpoint needs beside the Trainer's files.

    `batches` says which rows are packed together; without it rows are padded.
    """

    data_collator: Any

    def __init__(
        self,
        *,
        complete: Callable[[Path], None],
        held_out: HeldOut | None = None,
        eval_collator: Callable[..., Any] | None = None,
        batches: PackedBatches | None = None,
        **stock: Any,
    ) -> None:
        judged = {} if held_out is None else {"eval_dataset": held_out.rows, "compute_metrics": judge}
        super().__init__(**stock, **judged, compute_loss_func=answer_loss)
        self.complete, self.batches = complete, batches
        self.held_out, self.eval_collator = held_out, eval_collator
        self.meter = Meter()
        self.largest: BatchFacts | None = None
        """Of the batches so far the one with most positions: what an out-of-memory error is about."""
        self._done: list[MicroBatch] = []

    def get_train_dataloader(self) -> Any:
        """Load packed batches where there are some: the Trainer itself knows batches of one size only."""
        return super().get_train_dataloader() if self.batches is None else packed_loader(self, self.batches)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Tell the loss what it is not given: training may be packed where evaluation is padded."""
        self.compute_loss_func = partial(answer_loss, packed="shift_labels" in inputs)
        return super().compute_loss(model, inputs, *args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Start the clock with the first batch and not with the loading of the model."""
        self.meter = Meter()
        return super().train(*args, **kwargs)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Remember the rows of a micro-batch and its loss."""
        facts: BatchFacts | None = inputs.pop(KEY, None)
        if facts is not None:
            self.meter.rows += len(facts.rows)
            self.meter.tokens += facts.tokens
            if self.largest is None or facts.width > self.largest.width:
                self.largest = facts
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self._done.append(MicroBatch(loss, facts.rows if facts is not None else ()))
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)
        done, self._done = self._done, []
        guards.check_step(self, done, norm)
        return norm

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Measure how long the step waits for its batches."""
        start = time.perf_counter()
        samples = super().get_batch_samples(*args, **kwargs)
        self.meter.waited += time.perf_counter() - start
        return samples

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Collate as evaluation needs it: padded, nothing greyed out or recoloured."""
        own = self.data_collator
        self.data_collator = self.eval_collator or own
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = own

    def prediction_step(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """Return the loss of a batch and, in place of its logits, what the model predicted for each row."""
        facts = inputs.pop(KEY)
        inputs = self._prepare_inputs(inputs)
        held_out: HeldOut = self.held_out  # type: ignore[assignment]  # without it nothing is evaluated
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, {**inputs, "use_cache": True}, return_outputs=True)
            table = held_out.predict(model, outputs, inputs, facts, alike=self.is_fsdp_enabled)
        return loss.detach().mean(), table, table[:, 2].contiguous()

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate outside the clock of training; a loss that is no number stops the run."""
        start = time.perf_counter()
        metrics = super().evaluate(*args, **kwargs)
        guards.check_evaluation(self, metrics.get("eval_loss"))
        self.meter.paused += time.perf_counter() - start
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        start = time.perf_counter()
        guards.check_weights(self)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save and folder.exists():  # left by a run that was killed while it saved this step
            shutil.rmtree(folder)
        self.accelerator.wait_for_everyone()
        keep, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            with written_whole(folder, f"then go on with --resume_from_checkpoint {LATEST}"):
                super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = keep
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self.complete(folder)
            seal.seal(folder)
            rotate_checkpoints(self.args.output_dir, keep, self.state.best_model_checkpoint, use_mtime=True)
        self.accelerator.wait_for_everyone()
        self.meter.paused += time.perf_counter() - start

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Raise where weights of a checkpoint are not all there; tied ones, which are saved once, are."""
        state = self.model.state_dict()
        loaded = {value.data_ptr() for name, value in state.items() if name not in load_result.missing_keys}
        missing = [name for name in load_result.missing_keys if state[name].data_ptr() not in loaded]
        check_names("the checkpoint", missing, load_result.unexpected_keys, [*state])

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add speed and memory to the entries of training steps."""
        if "loss" in logs:
            logs = {**logs, **self._costs()}
        super().log(logs, start_time)

    def _costs(self) -> dict[str, float]:
        meter, self.meter = self.meter, Meter()
        seconds = max(meter.since and self.meter.since - meter.since - meter.paused, 1e-9)
        counts = torch.tensor([meter.rows, meter.tokens], dtype=torch.float64, device=self.args.device)
        rows, tokens = self.accelerator.reduce(counts, "sum").tolist()
        return {
            "rows_per_second": round(rows / seconds, 3),
            "tokens_per_second": round(tokens / seconds, 1),
            "data_wait_share": round(meter.waited / seconds, 4),
            "memory_gb": round(peak_memory() / GB, 3),
        }


def peak_memory() -> int:
    """Return the most bytes this process has held: of the GPU where there is one, else of the machine's memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
