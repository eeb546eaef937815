"""Packed batches in the stock Trainer: which rows each process takes, and the loader that takes them.

The Trainer knows batches of one size; here a batch is as many rows as fit into a number of tokens
(`rfm.batch.packing`). The plan is a function of lengths, seed and epoch, so a run that goes on skips what it has done.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader, Sampler

from rfm.batch.packing import PackedBatches


class ShareOfBatches(Sampler[list[int]]):
    """Every `processes`-th packed batch, from `process` on."""

    def __init__(self, batches: PackedBatches, process: int, processes: int) -> None:
        self.batches, self.process, self.processes = batches, process, processes

    @property
    def sampler(self) -> PackedBatches:
        """Where accelerate and the Trainer look for `set_epoch`, also when a resumed run has wrapped this."""
        return self.batches

    def set_epoch(self, epoch: int) -> None:
        """Take the order of another epoch at the next iteration."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches) // self.processes

    def __iter__(self) -> Iterator[list[int]]:
        return islice(self.batches, self.process, None, self.processes)


def packed_loader(trainer: Any, batches: PackedBatches) -> Any:
    """Return the training loader of one process, on its device; the batches are shared out already."""
    args = trainer.args
    loader = DataLoader(
        trainer.train_dataset,
        batch_sampler=ShareOfBatches(batches, args.process_index, args.world_size),
        collate_fn=trainer.data_collator,
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory,
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
    )
    return prepare_data_loader(loader, device=args.device, num_processes=1, process_index=0, put_on_device=True)
