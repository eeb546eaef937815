"""The one size in which a model sees frames, whatever size they come in: frames may be kept and sent in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from rfm.frames.resize import resize_frames


class SeenAs(NamedTuple):
    """Height and width in pixels, and how frames are brought to them."""

    height: int
    width: int
    filter: str

    def resized(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t height width 3"]:
        """Return the frames as the model sees them; those that it has made once stay as they are."""
        return resize_frames(frames, self.height, self.width, self.filter)
