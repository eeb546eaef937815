"""Random shift, an augmentation for training: the frames of a row moved a little, with their edges repeated.

A model that is trained on few episodes learns by heart where each pixel lies; moved frames take that away and leave
what happens (Kostrikov, Yarats and Fergus 2020, "Image Augmentation Is All You Need", arXiv:2004.13649, there 4 of 84
pixels). One draw holds for all frames and all clips of a row, a function of the seed that `with_seeds` writes into
training rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from rfm.sampling.random import RowRandom


class RandomShift(NamedTuple):
    """Shares of the height and the width by which frames move down and to the right."""

    down: float = 0.0
    right: float = 0.0

    @staticmethod
    def draw(seed: int, strength: float) -> RandomShift:
        """Return the shift of a row, each share in [-strength, strength]."""
        random = RowRandom(0, np.array([seed], np.int64).view(np.uint64))
        drawn = (float(random.uniform(f"shift/{name}")[0]) for name in RandomShift._fields)
        return RandomShift(*(strength * (2 * value - 1) for value in drawn))

    def apply(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
        """Return the moved frames; what comes in from outside repeats the edge."""
        height, width = frames.shape[1:3]
        rows = np.clip(np.arange(height) - round(self.down * height), 0, height - 1)
        columns = np.clip(np.arange(width) - round(self.right * width), 0, width - 1)
        return frames[:, rows[:, None], columns]
