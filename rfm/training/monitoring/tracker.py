"""Where the curves of a run go: TensorBoard files in the run's folder, wandb, or nowhere."""

from __future__ import annotations

import socket
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers.integrations import TensorBoardCallback

from rfm.errors import MissingExtraError
from rfm.training.checkpoints.belongings import Belongings
from rfm.training.checkpoints.folders import LOGS
from rfm.training.options import TrainOptions


def check_tracker(options: TrainOptions) -> None:
    """Raise `MissingExtraError` where the tracker is not installed."""
    if options.report_to == "wandb" and find_spec("wandb") is None:
        raise MissingExtraError(
            "`report_to` wandb needs wandb, which is not installed; pip install 'rfm-vqa[wandb]' or take "
            "--report_to tensorboard"
        )


def name_run(trainer: Any, options: TrainOptions) -> None:
    """Give TensorBoard's files the run's name, which the stock callback ignores, and note that they are ours."""
    folder = Path(options.output_dir)
    for callback in trainer.callback_handler.callbacks:
        if not isinstance(callback, TensorBoardCallback) or callback.logging_dir is not None:
            continue
        place = folder / LOGS / (options.run_name or _default_name())
        callback.logging_dir = str(place)
        if trainer.is_world_process_zero() and not place.exists():
            Belongings(folder).claim(place)


def _default_name() -> str:
    """Return the time and the machine, as the stock callback does."""
    return f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}"
