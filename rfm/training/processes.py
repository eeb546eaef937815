"""The processes of one training run, as `torchrun` and `accelerate launch` start them: who writes, who waits.

Only the first process of all writes files and log lines. What it writes and others read is written inside
`first_goes_first`, so `output_dir` must be a folder that all of them see.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState

from rfm.errors import ConfigError
from rfm.training.options import TrainOptions


def count() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Tell whether this is the process that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def join() -> None:
    """Connect the processes, and leave the log to the first one.

    Raises:
        ConfigError: one process sees several GPUs: the Trainer would split batches along the first axis of
            `position_ids`, which is not the rows.

    """
    launched = torch.distributed.is_torchelastic_launched() or "WORLD_SIZE" in os.environ
    if torch.cuda.device_count() > 1 and not launched:
        raise ConfigError(
            f"One process must see one GPU, but sees {torch.cuda.device_count()}; start with `torchrun "
            "--nproc_per_node N` or set CUDA_VISIBLE_DEVICES"
        )
    if count() > 1:
        PartialState(cpu=not torch.cuda.is_available())
        if not is_first():
            logging.getLogger("rfm").setLevel(logging.ERROR)


def shares_weights(options: TrainOptions) -> bool:
    """Tell whether the model is to be shared out, by flag or by launcher."""
    return options.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def check_sharing(trainer: Any, options: TrainOptions) -> None:
    """Raise `ConfigError` where FSDP was asked for and accelerate left it out without a word."""
    if shares_weights(options) and not (trainer.is_fsdp_enabled and trainer.accelerator.is_fsdp2):
        raise ConfigError(
            "`fsdp` must run as FSDP2 on several GPUs, but accelerate did not switch it on here "
            f"({trainer.accelerator.distributed_type.value}); drop --fsdp or launch with launch/fsdp.yaml on GPUs"
        )


@contextmanager
def first_goes_first() -> Iterator[bool]:
    """Run the block in the first process and then in the others; yields whether this is the first."""
    if count() == 1:
        yield True
        return
    with PartialState().main_process_first():
        yield is_first()
