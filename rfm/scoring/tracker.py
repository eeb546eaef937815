"""Progress of a robot while it moves: frames go in one by one, and the model is asked about all so far.

What `update` returns is the same number that `RewardModel.progress` gives for the frames so far; success is with
hysteresis over the answers. Frames are kept in the size that the model sees: 3 kB each at 32 x 32, 150 kB at 224 x 224.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.scoring.given_frames import Clip, read_clip
from rfm.scoring.records import Progress
from rfm.scoring.success import Success

if TYPE_CHECKING:
    from rfm.scoring.remote.client import RewardClient
    from rfm.scoring.reward_model import RewardModel


class Tracker:
    """The frames of one episode so far; `RewardModel.tracker` makes one."""

    def __init__(self, model: RewardModel | RewardClient, task: str, actor: str) -> None:
        self._model, self.task, self._actor = model, task, actor
        self.reset()

    def reset(self) -> None:
        """Begin a new episode."""
        self._frames: list[UInt8[np.ndarray, "h w 3"]] = []
        self._size: tuple[int, ...] | None = None
        self._success = Success()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Any) -> None:
        """Take a frame, or several, without asking about them."""
        frames = np.asarray(read_clip(frame, name=f"frame {len(self)}").frames)
        size = self._size or frames.shape[1:3]
        if frames.shape[1:3] != size:
            raise DataError(
                f"frame {len(self)} must have the size of those before, {size[0]} x {size[1]}, but has "
                f"{frames.shape[1]} x {frames.shape[2]}; reset() begins a new episode"
            )
        self._size = size
        self._frames += list(self._model.as_shown(frames))

    def update(self, frame: Any) -> Progress:
        """Take a frame, or several, and return the progress by now."""
        self.add(frame)
        said = self._model.progress(Clip(self._frames, "the frames so far"), self.task, actor=self._actor)
        self._success = self._model.success.after(self._success, said.expected)
        return replace(said, success=self._success.now)
