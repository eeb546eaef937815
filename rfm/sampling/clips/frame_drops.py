"""Frame dropping, an augmentation for training: clips that lack some of their frames.

Decided when rows are drawn, so that a row says what is shown. First and last frame stay, hence start, label and answer
do too. Both clips of a pair lose the same places, so they keep equal counts; where that would leave them with different
numbers of distinct frames (one of them stands still or goes back over the same frames) the row keeps all its frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64

from rfm.sampling.block import FIRST, REFERENCE, SECOND, Block, Slot
from rfm.sampling.random import RowRandom


def drop_frames(block: Block, random: RowRandom, share: float) -> Block:
    """Return the block with 0 to `share` of each clip's frames between the first and the last dropped."""
    first, second, reference = block.slots
    gone = _drops(random, "drop", first.count, first.indices.shape[1], share)
    paired = second.trajectory >= 0
    uneven = paired & (_distinct(_shown(first, gone)) != _distinct(_shown(second, gone)))
    gone &= ~uneven[:, None]
    of_reference = _drops(random, "drop/reference", reference.count, gone.shape[1], share)
    slots = list(block.slots)
    for number, drops in ((FIRST, gone), (SECOND, gone & paired[:, None]), (REFERENCE, of_reference)):
        slots[number] = _without(block.slots[number], drops)
    target = np.where(_in_front(gone, first.count)[1], _moved(block.target, gone), np.nan).astype(np.float32)
    return replace(block, slots=(slots[0], slots[1], slots[2]), target=target)


def _drops(
    random: RowRandom, stream: str, count: Int64[np.ndarray, " m"], width: int, share: float
) -> Bool[np.ndarray, "m K"]:
    """Return which columns to drop: a random number of those between the first and the last, at random."""
    inner = np.maximum(count - 2, 0)
    number = random.below(f"{stream}/number", (inner * share).astype(np.int64) + 1)
    words = np.stack([random.words(f"{stream}/{column}") for column in range(width)], axis=1)
    between = (np.arange(width) >= 1) & (np.arange(width) < count[:, None] - 1)
    words[~between] = np.uint64(2**64 - 1)
    rank = np.argsort(np.argsort(words, axis=1, kind="stable"), axis=1, kind="stable")
    return between & (rank < number[:, None])


def _without(slot: Slot, gone: Bool[np.ndarray, "m K"]) -> Slot:
    count, used = _in_front(gone, slot.count)
    return replace(slot, indices=np.where(used, _moved(slot.indices, gone), -1), count=count)


def _in_front(
    gone: Bool[np.ndarray, "m K"], count: Int64[np.ndarray, " m"]
) -> tuple[Int64[np.ndarray, " m"], Bool[np.ndarray, "m K"]]:
    """Return how many columns are left of each row, and which those are once they are moved to the front."""
    left = count - gone.sum(axis=1)
    return left, np.arange(gone.shape[1]) < left[:, None]


def _moved(values: np.ndarray, gone: Bool[np.ndarray, "m K"]) -> np.ndarray:
    return np.take_along_axis(values, np.argsort(gone, axis=1, kind="stable"), axis=1)


def _shown(slot: Slot, gone: Bool[np.ndarray, "m K"]) -> Int64[np.ndarray, "m K"]:
    return np.where(gone, -1, slot.indices)


def _distinct(indices: Int64[np.ndarray, "m K"]) -> Int64[np.ndarray, " m"]:
    """Return how many different frames each row shows; -1 is none."""
    ordered = np.sort(indices, axis=1)
    return (ordered[:, 0] >= 0) + ((np.diff(ordered, axis=1) > 0) & (ordered[:, 1:] >= 0)).sum(axis=1)
