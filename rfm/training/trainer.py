"""The stock Trainer with what its callbacks cannot do; losses, steps and schedules are the Trainer's own.

- A step is checked before it is made: neither weights nor checkpoints ever see a loss or gradient that is no number,
  and the rows that gave it are named (callbacks see neither rows nor the losses of micro-batches).
- A checkpoint is completed (tokenizer, `rfm_config.json`) and sealed before older ones are deleted, so that at any
  moment one whole checkpoint exists (the Trainer deletes first and calls `on_save` last).
- Whenever an evaluation is the best so far a checkpoint is saved with it (`checkpoints.best`), and the last step is
  evaluated whatever `eval_steps` says, as it is saved.
- A run that goes on follows its options as they are now: the Trainer keeps the checkpoint's intervals, makes one step
  with the rate of its schedule (`checkpoints.schedule`), and one more step than asked for where all were made.
- Evaluation reads exact answers off the pass that gives the loss (`monitoring.evaluation`), from padded batches
  whatever training does.
- Each log entry says what the step cost: rows and tokens a second over all processes, the share of the time spent
  waiting for data, and memory.
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerState

from rfm.batch.packing import PackedBatches
from rfm.errors import ConfigError
from rfm.model.weights.saving import written_whole
from rfm.model.weights.tensors import check_names
from rfm.training.checkpoints import best, schedule
from rfm.training.checkpoints.belongings import Belongings
from rfm.training.checkpoints.folders import checkpoint_of, way_on
from rfm.training.checkpoints.rotation import rotate
from rfm.training.loss import answer_loss
from rfm.training.monitoring import guards
from rfm.training.monitoring.batch_facts import KEY, BatchFacts
from rfm.training.monitoring.evaluation import HeldOut, judge
from rfm.training.monitoring.guards import MicroBatch
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


class LastStepEvaluated(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Evaluates the last step as it is saved, also in versions of transformers that don't."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for an evaluation after the last step."""
        control.should_evaluate |= state.global_step >= state.max_steps and args.eval_strategy == "steps"


class VQATrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """See the module; `complete` writes what a checkpoint needs beside the Trainer's files.

    `batches` says which rows are packed together; without it rows are padded. `keep` is `save_total_limit`, which the
    Trainer itself is not told: at the end it would delete the last checkpoint before `final` is written.
    """

    data_collator: Any

    def __init__(
        self,
        *,
        complete: Callable[[Path], None],
        held_out: HeldOut | None = None,
        eval_collator: Callable[..., Any] | None = None,
        batches: PackedBatches | None = None,
        keep: int | None = None,
        **stock: Any,
    ) -> None:
        judged = {} if held_out is None else {"eval_dataset": held_out.rows, "compute_metrics": judge}
        super().__init__(**stock, **judged, compute_loss_func=answer_loss)
        self.add_callback(LastStepEvaluated())
        self.complete, self.batches, self.keep = complete, batches, keep
        self.own = Belongings(Path(self.args.output_dir))
        self.judged_alike = True
        """Whether evaluations before a resumption were of the same rows as those to come."""
        self._not_due = False
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
        """Return, in place of logits, what the model predicted for each row and its loss."""
        facts = inputs.pop(KEY)
        inputs = self._prepare_inputs(inputs)
        shown = {name: value for name, value in inputs.items() if name != "labels"}
        held_out: HeldOut = self.held_out  # type: ignore[assignment]  # without it nothing is evaluated
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = model(**shown, use_cache=True)
            table = held_out.predict(model, outputs, inputs, facts, alike=self.is_fsdp_enabled)
        return None, table, table[:, 2].contiguous()

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate outside the clock of training; a loss or error that is no number stops the run."""
        start = time.perf_counter()
        metrics = super().evaluate(*args, **kwargs)
        guards.check_evaluation(self, metrics)
        self.meter.paused += time.perf_counter() - start
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        better: bool = super()._determine_best_metric(metrics, trial)
        self._not_due = better and not self.control.should_save
        self.control.should_save |= better
        return better

    def _init_training_state(
        self, max_steps: int, per_epoch: int, epochs: int, checkpoint: str | None, trial: Any
    ) -> tuple[int, int]:
        begun: tuple[int, int] = super()._init_training_state(max_steps, per_epoch, epochs, checkpoint, trial)
        if checkpoint is not None:
            if (done := self.state.global_step) > max_steps:
                raise ConfigError(
                    f"`max_steps` must be >= {done} to go on with {checkpoint}, which has made so many, but is "
                    f"{max_steps}; raise it or --num_train_epochs"
                )
            self.state.compute_steps(self.args, max_steps)
            self._take_best(Path(checkpoint))
        return begun

    def _take_best(self, checkpoint: Path) -> None:
        """Take the best so far from what is there, and not from what was there when the checkpoint was saved."""
        state, metric = self.state, self.args.metric_for_best_model
        state.best_metric = state.best_global_step = state.best_model_checkpoint = None
        if metric is None or not self.judged_alike:
            return
        kept = best.best_kept(state.log_history, metric, checkpoint.parent, greater=self.args.greater_is_better)
        if kept is not None:
            state.best_metric, state.best_global_step = kept.value, kept.step
            state.best_model_checkpoint = str(checkpoint_of(checkpoint.parent, kept.step))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        before = TrainerState.load_from_json(str(Path(checkpoint) / "trainer_state.json")).max_steps
        rate, name = self._get_learning_rate(), self.args.lr_scheduler_type.value
        schedule.follow(self.lr_scheduler)
        state = self.state
        logger.info("%s", schedule.described(
            name, state.global_step, state.max_steps, self._get_learning_rate(), (before, rate)
        ))  # fmt: skip

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # all were made before, and `final` is still to be written
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _load_best_model(self) -> None:
        logger.info("the best checkpoint is %s with %s %.6g", self.state.best_model_checkpoint,
                    self.args.metric_for_best_model, self.state.best_metric)  # fmt: skip
        super()._load_best_model()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        start = time.perf_counter()
        guards.check_weights(self)
        folder = checkpoint_of(self.own.folder, self.state.global_step)
        with written_whole(folder, lambda: f"then {way_on(self.own.folder)}"):
            if self.args.should_save:  # a run that was killed while it saved this step may have left some of it
                self.own.claim_anew(folder)
            self.accelerator.wait_for_everyone()
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self._seal(folder)
        self.accelerator.wait_for_everyone()
        self._not_due = False
        self.meter.paused += time.perf_counter() - start

    def _seal(self, folder: Path) -> None:
        """Complete a checkpoint, and delete those that it replaces."""
        self.complete(folder)
        if self._not_due:
            best.mark(folder, self.args.metric_for_best_model, self.state.best_metric)
        self.own.seal(folder)
        rotate(self.own, self.state.global_step, self.state.best_global_step, self.keep)

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
