"""Runs of the `tiny` model that take a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerState

from rfm.training.options import TrainOptions


def tiny_run(dataset: Path, output: Path, **changes: Any) -> TrainOptions:
    values = {
        "dataset_path": str(dataset),
        "model_name": "tiny",
        "output_dir": str(output),
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
        "dataloader_num_workers": 0,
        "learning_rate": 3e-3,
        "max_steps": 4,
        "logging_steps": 1,
        "report_to": "none",
    }
    return TrainOptions(**{**values, **changes})


def logged(folder: Path, name: str) -> list[float]:
    state = TrainerState.load_from_json(str(folder / "trainer_state.json"))
    return [entry[name] for entry in state.log_history if name in entry]


def losses(folder: Path) -> list[float]:
    return logged(folder, "loss")
