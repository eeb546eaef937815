"""The one size in which a model sees frames, whatever size they come in: frames may be kept and sent in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.frames.resize import resize_frames


class OtherSizeError(DataError):
    """Frames were brought to the size of one model, and another answers by now: they have to be given anew."""


class SeenAs(NamedTuple):
    """Height and width in pixels, and how frames are brought to them."""

    height: int
    width: int
    filter: str

    def resized(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t height width 3"]:
        """Return the frames as the model sees them; those that it has made once stay as they are."""
        return resize_frames(frames, self.height, self.width, self.filter)


def seen_as_of(model: Any) -> SeenAs | None:
    """Return the size in which a model, a client, or whatever else judges sees frames, where it has one and says so."""
    found: SeenAs | None = getattr(model, "seen_as", None)
    return found
