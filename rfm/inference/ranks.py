"""Processes that share the rows of one evaluation, as `torchrun --nproc_per_node N` starts them.

Every process answers its share and gets all answers, so what follows (metrics, intervals) is the same in each; the
first one writes and prints. Answers travel over gloo, which needs no GPU and no shared disk.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class Ranks:
    """This process among all: `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def gather(self, mine: Mapping[int, Any]) -> dict[int, Any]:
        """Return what all processes have, in every one of them."""
        if self.size == 1:
            return dict(mine)
        import torch.distributed as distributed

        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, dict(mine))
        return {index: value for part in parts for index, value in part.items()}


ALONE = Ranks()


@contextmanager
def processes() -> Iterator[Ranks]:
    """Join the processes that torchrun started; yields `ALONE` where it did not start any."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    import torch.distributed as distributed

    distributed.init_process_group("gloo", timeout=timedelta(days=30))  # some finish long before the others
    if distributed.get_rank() > 0:
        logging.getLogger("rfm").setLevel(logging.ERROR)  # the first one says it
    try:
        yield Ranks(distributed.get_rank(), size)
    finally:
        distributed.destroy_process_group()


def own_gpu(device: str) -> str:
    """Return `cuda:N` for the N-th process of this machine where `cuda` was asked for."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device
