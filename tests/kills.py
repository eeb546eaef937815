"""Moments at which a run is killed, and the run that is; a module, since another process imports it."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers.modeling_utils as modeling

from rfm.cli import run_command
from rfm.files import seal
from rfm.inference.engines.engine import Engine
from rfm.training.options import TrainOptions
from rfm.training.run import train
from rfm.training.trainer import VQATrainer

Patch = pytest.MonkeyPatch


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cut_in_half(path: Any) -> None:
    os.truncate(path, Path(path).stat().st_size // 2)
    die()


def in_step_5(patch: Patch) -> None:
    step = VQATrainer._get_grad_norm

    def stepping(self, *args, **kwargs):
        return die() if self.state.global_step == 4 else step(self, *args, **kwargs)

    patch.setattr(VQATrainer, "_get_grad_norm", stepping)


def beside_idle_workers(patch: Patch) -> None:
    """In step 5, while workers that look for their parent themselves do so once in an hour and not every 5 seconds."""
    patch.setattr(torch.utils.data._utils.worker, "MP_STATUS_CHECK_INTERVAL", 3600.0)
    in_step_5(patch)


def in_weights(patch: Patch) -> None:
    save = modeling.safe_save_file

    def half(tensors, path, **kwargs):
        save(tensors, path, **kwargs)
        return cut_in_half(path) if "checkpoint-4" in str(path) else None

    patch.setattr(modeling, "safe_save_file", half)


def in_optimizer(patch: Patch) -> None:
    save = torch.save

    def half(value, path, *args, **kwargs):
        save(value, path, *args, **kwargs)
        return cut_in_half(path) if str(path).endswith("checkpoint-4/optimizer.pt") else None

    patch.setattr(torch, "save", half)


def before_the_seal(patch: Patch) -> None:
    real = seal.seal
    patch.setattr(seal, "seal", lambda folder: die() if folder.name == "checkpoint-4" else real(folder))


def while_deleting_the_oldest(patch: Patch) -> None:
    def half(path, *args, **kwargs):
        Path(path, "model.safetensors").unlink()
        die()

    patch.setattr("transformers.trainer_utils.shutil.rmtree", half)


def while_writing_final(patch: Patch) -> None:
    save = modeling.safe_save_file

    def half(tensors, path, **kwargs):
        save(tensors, path, **kwargs)
        return cut_in_half(path) if "final" in str(path) else None

    patch.setattr(modeling, "safe_save_file", half)


def train_until(arrange: Callable[[Patch], None], options: TrainOptions) -> None:
    with pytest.MonkeyPatch.context() as patch:
        arrange(patch)
        train(options)


def answer_until(number: int, engine: type[Engine], command: tuple[str, ...], words: list[str]) -> None:
    """Run a command until an engine is to answer a batch of that number."""
    answer, batches = engine.answer, itertools.count(1)

    def dying(self, *args, **options):
        return die() if next(batches) == number else answer(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "answer", dying)
        run_command(command, words, f"rfm {' '.join(command)}")
