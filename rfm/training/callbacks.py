"""What happens beside the Trainer's own steps: the processor goes into every checkpoint, a loss that is no number stops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rfm.batch.input_format import InputFormat
from rfm.errors import RfmError
from rfm.model.load import LoadedModel


class SaveProcessor(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Makes every checkpoint complete: tokenizer, preprocessing files, `rfm_config.json`."""

    def __init__(self, loaded: LoadedModel, form: InputFormat) -> None:
        self.loaded, self.form = loaded, form

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write beside the weights that were just saved."""
        if state.is_world_process_zero:
            self.loaded.save_processor(Path(args.output_dir) / f"checkpoint-{state.global_step}", self.form)


class StopOnInvalidLoss(TrainerCallback):  # type: ignore[misc]
    """Raises as soon as a logged loss or gradient norm is not finite; training on would only write broken checkpoints."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Check one log entry."""
        for name in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise RfmError(
                    f"`{name}` must be finite, but is {value} at step {state.global_step}; lower --learning_rate (is"
                    f" {args.learning_rate:g}) or --max_grad_norm (is {args.max_grad_norm:g}), and look at the last rows"
                )
