"""Colour jitter, an augmentation for training: brightness, contrast and saturation of a row's clips.

One draw holds for all frames and all clips of a row, so that neither motion nor the comparison of two clips changes.
It is a function of the row's seed alone (`augmentation.with_seeds`). 15 ms for 16 frames of 224 x 224, 0.3 ms for
32 x 32.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from rfm.sampling.random import RowRandom

_LUMA = np.array([77, 150, 29], np.int32)
"""Weights of red, green and blue in grey, in 256ths (ITU-R BT.601)."""


class ColourJitter(NamedTuple):
    """Factors of brightness, contrast (about mid-grey) and saturation; 1 changes nothing."""

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    @staticmethod
    def draw(seed: int, strength: float) -> ColourJitter:
        """Return the factors of a row, each in [1 - strength, 1 + strength]."""
        random = RowRandom(0, np.array([seed], np.int64).view(np.uint64))
        drawn = (float(random.uniform(f"jitter/{name}")[0]) for name in ColourJitter._fields)
        return ColourJitter(*(1 + strength * (2 * value - 1) for value in drawn))

    def apply(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
        """Return frames in other colours: first the saturation, then contrast and brightness by a table."""
        values = np.arange(256)
        table = np.clip(np.rint(((values - 128) * self.contrast + 128) * self.brightness), 0, 255).astype(np.uint8)
        scale = round(self.saturation * 256)
        if scale != 256:
            grey = ((frames @ _LUMA) >> 8)[..., None]
            frames = np.clip(grey + ((frames - grey) * scale >> 8), 0, 255).astype(np.uint8)
        return table[frames]
