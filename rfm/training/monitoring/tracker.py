"""Where the curves of a run go: TensorBoard files in the run's folder, wandb, or nowhere."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers.integrations import TensorBoardCallback

from rfm.errors import MissingExtraError
from rfm.training.checkpoints.output_dir import LOGS
from rfm.training.options import TrainOptions


def check_tracker(options: TrainOptions) -> None:
    """Raise `MissingExtraError` where the tracker is not installed."""
    if options.report_to == "wandb" and find_spec("wandb") is None:
        raise MissingExtraError(
            "`report_to` wandb needs wandb, which is not installed; pip install 'rfm-vqa[wandb]' or take "
            "--report_to tensorboard"
        )


def name_run(trainer: Any, options: TrainOptions) -> None:
    """Give TensorBoard's files the run's name, which the stock callback does not look at."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and options.run_name is not None and callback.logging_dir is None:
            callback.logging_dir = str(Path(options.output_dir) / LOGS / options.run_name)
