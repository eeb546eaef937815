"""The frames of an episode so far, as trackers, sessions and wrappers keep them: in the size that their model sees.

Frames take 3 kB each at 32 x 32, 150 kB at 224 x 224. The size is that of the first frames: a model that takes the
place of the first one and sees frames in another size can't be asked about them (`Clip.check_seen_as`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.scoring.given_frames import Clip
from rfm.scoring.seen_as import SeenAs

Frame = UInt8[np.ndarray, "h w 3"]
Frames = UInt8[np.ndarray, "t h w 3"]


class EpisodeFrames:
    """Frames kept one after the other, all recorded in one size and kept in one."""

    def __init__(self) -> None:
        self.kept: list[Frame] = []
        self._seen_as: SeenAs | None = None
        self._recorded: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.kept)

    def fitting(self, frames: Frames) -> Frames:
        """Return frames in the size of those before; the first ones as they are, for any model.

        DataError where they were recorded in another size.
        """
        size = frames.shape[1:3]
        if self.kept and size != self._recorded:
            before, now = (f"{height} x {width}" for height, width in (self._recorded, size))
            raise DataError(
                f"frame {len(self)} must have the size of those before, {before}, but has {now}; "
                "reset begins a new episode"
            )
        self._recorded = size
        return frames if self._seen_as is None else self._seen_as.resized(frames)

    def keep(self, frames: Frames, seen_as: SeenAs | None) -> None:
        """Take what `fitting` gave; the first ones in the size in which the model sees them.

        Whoever gave them may write over them afterwards.
        """
        if not self.kept:
            self._seen_as = seen_as
            frames = frames if seen_as is None else seen_as.resized(frames)
        self.kept += [frame.copy() for frame in frames]

    def clip(self, more: Iterable[Frame] = ()) -> Clip:
        """Return what is kept, and `more` that `fitting` gave, as one clip."""
        return Clip([*self.kept, *more], "the frames so far", kept_as=self._seen_as)
