"""One piece of memory for all patches of a batch, which clips are cut straight into.

Patches are the bulk of a batch: 5 MB a row of 32 frames at 224 x 224. Putting clips together at the end would touch all
of it once more, and fresh memory costs more than the copying: 38 MB in small pages take 20 ms to be had, in huge pages
(numpy asks for them, torch does not) 5 ms. In a loader's worker the memory is that which the batch travels in, so that
sending it copies nothing; where the system has too little of that, as containers have by default, it is the worker's
own and sending copies it.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch.utils.data import get_worker_info

SHARED = Path("/dev/shm")
FEW_FILES = 256
"""Open files, from which on each batch on its way may have one of its own."""

Patches = UInt8[np.ndarray, "n d"]


class Room:
    """Memory for `rows` patches of `width` bytes, handed out from the front."""

    def __init__(self, rows: int, width: int) -> None:
        self._tensor = _memory(rows, width)
        self._array = self._tensor.numpy()
        self._taken: list[Patches] = []
        self._used = 0

    def take(self, rows: int) -> Patches | None:
        """Return the next `rows` patches, None where not so many are left."""
        if self._used + rows > len(self._array):
            return None
        self._used += rows
        self._taken.append(self._array[self._used - rows : self._used])
        return self._taken[-1]

    def parts(self) -> int:
        """How many parts were taken."""
        return len(self._taken)

    def give_back(self, parts: int) -> None:
        """Take back all but the first `parts` parts."""
        self._used -= sum(map(len, self._taken[parts:]))
        del self._taken[parts:]

    def joined(self, parts: list[Patches]) -> UInt8[torch.Tensor, "n d"]:
        """Return the parts one behind the other: the room itself where they are what it handed out."""
        if len(parts) == len(self._taken) and all(one is other for one, other in zip(parts, self._taken, strict=True)):
            return self._tensor[: self._used]
        return torch.from_numpy(np.concatenate(parts))


def has_shared_room(size: int) -> bool:
    """Tell whether shared memory takes `size` bytes and leaves as much to others, and there may be files for it."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return files >= FEW_FILES and SHARED.is_dir() and shutil.disk_usage(SHARED).free >= 2 * size


def _memory(rows: int, width: int) -> UInt8[torch.Tensor, "n d"]:
    size = max(1, rows * width)
    if get_worker_info() is not None and has_shared_room(size):
        # as torch's own collate does it
        shared: Callable[[int], torch.UntypedStorage] = torch.UntypedStorage._new_shared
        with suppress(RuntimeError):  # another worker was faster
            return torch.empty(0, dtype=torch.uint8).set_(shared(size), 0, (rows, width), (width, 1))
    return torch.from_numpy(np.empty((rows, width), np.uint8))
