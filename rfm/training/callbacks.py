"""Beside the Trainer's own steps: every checkpoint is made complete, a loss that is no number stops the run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt64
from transformers import TrainerCallback

from rfm.batch.input_format import InputFormat
from rfm.errors import RfmError
from rfm.model.load import LoadedModel
from rfm.vqa.provenance import save_hashes


class SaveProcessor(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Makes every checkpoint complete: tokenizer, preprocessing files, `rfm_config.json`, `trained_on.npy`."""

    def __init__(self, loaded: LoadedModel, form: InputFormat, trajectories: UInt64[np.ndarray, " k"]) -> None:
        self.loaded, self.form, self.trajectories = loaded, form, trajectories

    def write(self, folder: Path) -> None:
        """Write all of it into a folder with weights."""
        self.loaded.save_processor(folder, self.form)
        save_hashes(folder, self.trajectories)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write beside the weights that were just saved."""
        if state.is_world_process_zero:
            self.write(Path(args.output_dir) / f"checkpoint-{state.global_step}")


class StopOnInvalidLoss(TrainerCallback):  # type: ignore[misc]
    """Raises as soon as a logged loss or gradient norm is not finite: all later checkpoints would be broken."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Check one log entry."""
        for name in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise RfmError(
                    f"`{name}` must be finite, but is {value} at step {state.global_step}; lower --learning_rate "
                    f"(is {args.learning_rate:g}) or --max_grad_norm (is {args.max_grad_norm:g}), and look at the "
                    "last rows"
                )
