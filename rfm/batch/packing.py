"""Which rows share a packed batch: a plan from row lengths, a seed and an epoch.

In: the number of tokens of each row (`rfm.batch.row_lengths`) and how many tokens a batch may hold. Out: bins of row
numbers, each row in exactly one. Rows are taken in shuffled order and each goes to the fullest of at most `OPEN` open
bins that has room for it (bounded best fit); a bin is closed when too many are open. Bins are filled to 98% and more
filled to 95 to 99%, and long and short rows stay mixed, which sorting by length would undo.

How long the bins' rows are is decided once, by lengths and seed, so every epoch has equally many batches, as the
Trainer's count of steps needs it. The epoch then deals out rows anew among places of the same length and shuffles the
bins. All of it is a function of its arguments: workers, processes and interruptions change nothing.

Cost: one to three microseconds a row for the plan, one for an epoch.
Source: the shuffles as pure functions follow mosaicml/streaming; best fit, Johnson et al. (1974).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64
from torch.utils.data import Sampler

from rfm.errors import ConfigError
from rfm.sampling.random import permute

OPEN = 32
"""Bins that may be open at once."""

Lengths = Int64[np.ndarray, " rows"]
Bins = list[Int64[np.ndarray, " k"]]


class PackedBatches(Sampler[list[int]]):
    """A batch sampler: the row numbers of each packed batch, for every process; `set_epoch` chooses the order.

    The number of batches is a multiple of `processes`, so that sharing them out in turn leaves none behind and no
    process waits. Resuming in the middle of an epoch is skipping its first batches after `set_epoch`.
    """

    def __init__(self, lengths: Lengths, max_tokens: int, seed: int, *, processes: int = 1) -> None:
        self.lengths, self.max_tokens, self.seed = np.asarray(lengths, np.int64), max_tokens, seed
        self.plan = plan(self.lengths, max_tokens, seed, multiple_of=processes)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of another epoch at the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[list[int]]:
        for rows in deal(self.plan, self.lengths, self.seed, self.epoch):
            yield rows.tolist()

    @property
    def filled(self) -> float:
        """How full the batches are on average, as a share of `max_tokens`."""
        return float(self.lengths.sum()) / (len(self.plan) * self.max_tokens)


def plan(lengths: Lengths, max_tokens: int, seed: int, *, multiple_of: int = 1) -> Bins:
    """Return bins of at most `max_tokens` tokens that hold each row once; their number is a multiple.

    Raises `ConfigError` where a row is longer than a bin, or there are fewer rows than bins must be.
    """
    _check(lengths, max_tokens, multiple_of)
    bins: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, bin) of the open bins, the fullest first
    order = permute(np.arange(len(lengths), dtype=np.uint64), len(lengths), seed, "packing/order")
    for row, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        at = bisect_left(room, (length, -1))
        if at == len(room):
            left, into = max_tokens, len(bins)
            bins.append([])
            if len(room) == OPEN:
                room.pop(0)
        else:
            left, into = room.pop(at)
        bins[into].append(row)
        insort(room, (left - length, into))
    _split(bins, multiple_of)
    return [np.array(rows, np.int64) for rows in bins]


def deal(plan: Bins, lengths: Lengths, seed: int, epoch: int) -> Bins:
    """Return the bins of an epoch: rows dealt out anew among places of equal length, the bins in a new order."""
    rows = np.concatenate(plan)
    shuffled = permute(np.arange(len(rows), dtype=np.uint64), len(rows), seed, f"packing/rows/{epoch}")
    places = np.argsort(lengths[rows], kind="stable")
    dealt = np.empty_like(rows)
    dealt[places] = shuffled[np.argsort(lengths[shuffled], kind="stable")]
    bins = np.split(dealt, np.cumsum([len(bin_) for bin_ in plan])[:-1])
    order = permute(np.arange(len(bins), dtype=np.uint64), len(bins), seed, f"packing/bins/{epoch}")
    return [bins[index] for index in order]


def _split(bins: list[list[int]], multiple_of: int) -> None:
    """Halve the bins of most rows until there are a multiple of bins."""
    while len(bins) % multiple_of:
        largest = max(range(len(bins)), key=lambda index: len(bins[index]))
        rows = bins[largest]
        if len(rows) == 1:
            raise ConfigError(
                f"{len(bins)} rows that fill a batch each must be a multiple of {multiple_of} processes, but are not; "
                "allow more tokens a batch, or train on fewer processes"
            )
        bins[largest] = rows[: len(rows) // 2]
        bins.append(rows[len(rows) // 2 :])


def _check(lengths: Lengths, max_tokens: int, multiple_of: int) -> None:
    if len(lengths) < multiple_of:
        raise ConfigError(
            f"the dataset must have at least {multiple_of} rows, one for each of the processes, but has {len(lengths)}"
        )
    longest = int(np.argmax(lengths))
    if lengths[longest] > max_tokens:
        raise ConfigError(
            f"`max_tokens` must be at least {lengths[longest]} (tokens of row {longest}, the longest), but is "
            f"{max_tokens}; allow more tokens a batch, or show fewer or smaller frames (data.resized_height)"
        )
