"""What a run shows while it trains: one live display in a terminal, one line a log entry in a file or a pipe.

It takes the place of the Trainer's own bar and of its dictionaries. The first process alone shows anything; rows and
tokens a second are of all processes. Time left counts the steps of this run with their evaluations and checkpoints.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import TaskID
from rich.text import Text
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.utils import logging as transformers_logging

from rfm.console import console, is_quiet, progress_bar

logger = logging.getLogger(__name__)

_FORMS: Mapping[str, str] = {
    "loss": "loss {:.4f}",
    "learning_rate": "rate {:.2e}",
    "grad_norm": "gradient {:.3g}",
    "rows_per_second": "{:,.1f} rows/s",
    "tokens_per_second": "{:,.0f} tokens/s",
    "data_wait_share": "waiting {:.0%}",
    "memory_gb": "{:.1f} GB",
}
"""What is said of a training step, in this order."""
_FIRST_LINE = ("loss", "learning_rate", "grad_norm")
_EVALUATED = "eval_"
_NO_METRICS = ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time")


class Display(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Shows the run; `close` must be called however it ends."""

    def __init__(self) -> None:
        self.bar = progress_bar(expand=True)
        self.live: Live | None = None
        self.task: TaskID | None = None
        self.begun, self.first_step = time.perf_counter(), 0
        self.costs: dict[str, float] = {}
        self.evaluated = ""
        self.rows_judged = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock, and in a terminal the display."""
        if not state.is_world_process_zero:
            return
        self.begun, self.first_step = time.perf_counter(), state.global_step
        if console().is_terminal and not is_quiet():
            self.task = self.bar.add_task("training", total=state.max_steps, completed=state.global_step)
            self.live = Live(get_renderable=self._shown, console=console(), refresh_per_second=4)
            self.live.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the bar."""
        if self.task is not None:
            self.bar.update(self.task, completed=state.global_step, description="training")

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say that the run evaluates, and how far that is."""
        self.rows_judged += 1
        if self.task is not None:
            self.bar.update(self.task, description=f"evaluating, batch {self.rows_judged}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin to count anew."""
        self.rows_judged = 0

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Take a log entry over, or write its line."""
        if not state.is_world_process_zero or not logs:
            return
        if "loss" in logs:
            self.costs = {name: float(logs[name]) for name in _FORMS if name in logs}
        elif any(name.startswith(_EVALUATED) for name in logs):
            self.evaluated = f"evaluated at {state.global_step}: {evaluation_words(logs)}"
        if self.live is None and (words := entry_words(logs)):
            logger.info("step %d/%d  %s%s", state.global_step, state.max_steps, words, self._left(state, logs))

    def close(self) -> None:
        """Leave the last state of the display where it is."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _shown(self) -> Group:
        lines = [[name for name in _FORMS if (name in _FIRST_LINE) is first] for first in (True, False)]
        said = ["   ".join(_FORMS[name].format(self.costs[name]) for name in line if name in self.costs)
                for line in lines]  # fmt: skip
        return Group(self.bar, *(Padding.indent(Text(words), 2) for words in (*said, self.evaluated) if words))

    def _left(self, state: Any, logs: Mapping[str, Any]) -> str:
        made = state.global_step - self.first_step
        if "loss" not in logs or made < 1 or state.global_step >= state.max_steps:
            return ""
        seconds = (time.perf_counter() - self.begun) / made * (state.max_steps - state.global_step)
        return f"  left {timedelta(seconds=round(seconds))}"


def entry_words(logs: Mapping[str, Any]) -> str:
    """Return a log entry as one line.

    >>> entry_words({"loss": 0.5, "learning_rate": 1e-4, "rows_per_second": 3.0, "memory_gb": 7.9})
    'loss 0.5000  rate 1.00e-04  3.0 rows/s  7.9 GB'
    >>> entry_words({"eval_loss": 0.25, "eval_progress_mae": 14.22, "eval_runtime": 3.1})
    'evaluation: loss 0.2500, progress mae 14.2'
    """
    if "loss" in logs:
        return "  ".join(form.format(float(logs[name])) for name, form in _FORMS.items() if name in logs)
    if any(name.startswith(_EVALUATED) for name in logs):
        return f"evaluation: {evaluation_words(logs)}"
    if "train_runtime" in logs:
        spent = timedelta(seconds=round(float(logs["train_runtime"])))
        return f"trained in {spent}, mean loss {float(logs['train_loss']):.4f}"
    return ""


def evaluation_words(logs: Mapping[str, Any]) -> str:
    """Return what an evaluation found."""
    found = {name.removeprefix(_EVALUATED): value for name, value in logs.items() if name.startswith(_EVALUATED)}
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.{1 if name.endswith(('mae', 'rmse')) else 4}f}"
        for name, value in found.items()
        if name not in _NO_METRICS
    )


@contextmanager
def watched(trainer: Any) -> Iterator[None]:
    """Show a Trainer's run in place of what it shows itself, and of transformers' bar at every file it saves."""
    transformers_logging.disable_progress_bar()
    for stock in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(stock)
    display = Display()
    trainer.add_callback(display)
    try:
        yield
    finally:
        display.close()
