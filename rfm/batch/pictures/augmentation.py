"""What is changed in the frames of training rows: their colours and where they lie.

Everything is a function of the row's seed alone, which `with_seeds` writes into training rows; a row without one is
shown as it is, which is how evaluation never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rfm.batch.pictures.colour_jitter import ColourJitter
from rfm.batch.pictures.random_shift import RandomShift
from rfm.configs.experiment_configs import DataConfig
from rfm.sampling.random import RowRandom

SEED_COLUMN = "augmentation_seed"
SETTINGS = ("colour_jitter", "random_shift")
"""Keys of the configuration, all 0 where nothing is changed."""


@dataclass(frozen=True)
class Augmentation:
    """How much rows with a seed are changed."""

    colour_jitter: float = 0.0
    """Factors of colours lie in [1 - this, 1 + this], see `colour_jitter`."""
    random_shift: float = 0.0
    """Frames move by up to this share of their height and width, see `random_shift`."""

    @staticmethod
    def of(data: DataConfig) -> Augmentation:
        """Return what a configuration asks for."""
        return Augmentation(**{name: getattr(data, name) for name in SETTINGS})

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in SETTINGS)

    def apply(self, row: Mapping[str, Any], clip: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
        """Return a clip of the row as training sees it."""
        seed = row.get(SEED_COLUMN)
        if seed is None:
            return clip
        if self.random_shift:
            clip = RandomShift.draw(seed, self.random_shift).apply(clip)
        if self.colour_jitter:
            clip = ColourJitter.draw(seed, self.colour_jitter).apply(clip)
        return clip


def with_seeds(rows: Any, seed: int) -> Any:
    """Return a Hugging Face dataset with a seed for each row, a function of `seed` and its position."""
    words = RowRandom(seed, np.arange(len(rows), dtype=np.uint64)).words("augmentation")
    return rows.add_column(SEED_COLUMN, words.view(np.int64))
