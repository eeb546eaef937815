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
from rfm.scoring.success import Success, SuccessRule

if TYPE_CHECKING:
    from rfm.scoring.remote.client import RewardClient
    from rfm.scoring.reward_model import RewardModel


class Episode:
    """What is known of an episode so far: its frames as they are shown, and whether it is a success by now."""

    def __init__(self) -> None:
        self.frames: list[UInt8[np.ndarray, "h w 3"]] = []
        self._recorded: tuple[int, ...] = ()
        self._success = Success()

    def check_size(self, frames: UInt8[np.ndarray, "t h w 3"]) -> None:
        """Raise DataError where frames were recorded in another size than those before."""
        size = frames.shape[1:3]
        if self.frames and size != self._recorded:
            before, now = (f"{height} x {width}" for height, width in (self._recorded, size))
            raise DataError(
                f"frame {len(self.frames)} must have the size of those before, {before}, but has {now}; "
                "reset begins a new episode"
            )
        self._recorded = size

    def keep(self, shown: UInt8[np.ndarray, "t h w 3"]) -> None:
        """Take frames, in the size in which they are shown; whoever gave them may write over them afterwards."""
        self.frames += [frame.copy() for frame in shown]

    def judged(self, said: Progress, rule: SuccessRule) -> Progress:
        """Return what is said of all frames so far, with success as it is after what was said before."""
        self._success = rule.after(self._success, said.expected)
        return replace(said, success=self._success.now)


class Tracker:
    """The frames of one episode so far; `RewardModel.tracker` makes one."""

    def __init__(self, model: RewardModel | RewardClient, task: str, actor: str) -> None:
        self._model, self.task, self._actor = model, task, actor
        self.reset()

    def reset(self) -> None:
        """Begin a new episode."""
        self._episode = Episode()

    def __len__(self) -> int:
        return len(self._episode.frames)

    def add(self, frame: Any) -> None:
        """Take a frame, or several, without asking about them."""
        self._episode.keep(self._shown(frame))

    def update(self, frame: Any) -> Progress:
        """Take a frame, or several, and return the progress by now; where that raises they are not taken."""
        shown = self._shown(frame)
        clip = Clip([*self._episode.frames, *shown], "the frames so far")
        said = self._model.progress(clip, self.task, actor=self._actor)
        self._episode.keep(shown)  # not before: what has no answer may be given again
        return self._episode.judged(said, self._model.success)

    def _shown(self, frame: Any) -> UInt8[np.ndarray, "t h w 3"]:
        frames = np.asarray(read_clip(frame, name=f"frame {len(self)}").frames)
        self._episode.check_size(frames)
        return self._model.as_shown(frames)
