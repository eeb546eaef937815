"""Progress of a robot while it moves: frames go in one by one, and the model is asked about all so far.

What `update` returns is the same number that `RewardModel.progress` gives for the frames so far; success is with
hysteresis over the answers. A frame counts once there is an answer: one whose `update` failed may be given again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from rfm.scoring.episode_frames import EpisodeFrames
from rfm.scoring.forms import check_actor
from rfm.scoring.given_frames import read_clip
from rfm.scoring.instructions import instruction
from rfm.scoring.records import Progress
from rfm.scoring.seen_as import seen_as_of
from rfm.scoring.success import Success, SuccessRule

if TYPE_CHECKING:
    from rfm.scoring.remote.client import RewardClient
    from rfm.scoring.reward_model import RewardModel


class Episode(EpisodeFrames):
    """What is known of an episode so far: its frames as they are shown, and whether it is a success by now."""

    def __init__(self) -> None:
        super().__init__()
        self._success = Success()

    def judged(self, said: Progress, rule: SuccessRule) -> Progress:
        """Return what is said of all frames so far, with success as it is after what was said before."""
        self._success = rule.after(self._success, said.expected)
        return replace(said, success=self._success.now)


class Tracker:
    """The frames of one episode so far; `RewardModel.tracker` makes one."""

    def __init__(self, model: RewardModel | RewardClient, task: str, actor: str) -> None:
        check_actor(actor)
        self._model, self.task, self._actor = model, instruction(task), actor
        self.reset()

    def reset(self) -> None:
        """Begin a new episode."""
        self._episode = Episode()

    def __len__(self) -> int:
        return len(self._episode)

    def add(self, frame: Any) -> None:
        """Take a frame, or several, without asking about them."""
        self._episode.keep(self._fitting(frame), seen_as_of(self._model))

    def update(self, frame: Any) -> Progress:
        """Take a frame, or several, and return the progress by now; where that raises they are not taken.

        Raises:
            OtherSizeError: a server's model was replaced by one that sees frames in another size: `reset` begins anew.

        """
        frames = self._fitting(frame)
        said = self._model.progress(self._episode.clip(frames), self.task, actor=self._actor)
        self._episode.keep(frames, seen_as_of(self._model))
        return self._episode.judged(said, self._model.success)

    def _fitting(self, frame: Any) -> UInt8[np.ndarray, "t h w 3"]:
        return self._episode.fitting(np.asarray(read_clip(frame, name=f"frame {len(self)}").frames))
