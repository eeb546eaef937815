"""A trained model as a reward: how far has the robot got, and which of two clips got further?

In: frames (`rfm.scoring.given_frames`) and the instruction. Out: the records of `rfm.scoring.records`. Questions are
put as the checkpoint was trained: so many frames of a clip (`rfm.frames.spacing`), in that size, words and scale, and
answers are the probabilities of all valid ones. So a value is the same number that `rfm evaluate --decoding scored`
gives for the same clip and text, whoever asks: `rfm score`, relabelling, a server or a wrapper.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import UInt8

from rfm.console import hush_libraries
from rfm.errors import ConfigError
from rfm.frames.spacing import EVENLY, evenly_spaced, shown_of_pair, shown_of_prefixes
from rfm.inference.answering.decoding import Decoding
from rfm.inference.answering.distribution import Distribution
from rfm.inference.predictor import Predictor
from rfm.ingest.episode import IngestOptions
from rfm.model.device import AUTO
from rfm.scoring.asking import asked, asked_together, distribution_of, preference_row, progress_row
from rfm.scoring.counts import check_batch_size, check_whole
from rfm.scoring.forms import Asked, check_points
from rfm.scoring.given_frames import Clip
from rfm.scoring.records import Curve, Preference, Progress
from rfm.scoring.seen_as import SeenAs
from rfm.scoring.success import DEFAULT as SUCCESS
from rfm.scoring.success import SuccessRule
from rfm.scoring.tracker import Tracker
from rfm.vqa.answers import valid_answers
from rfm.vqa.presentation import Presentation
from rfm.vqa.prompts import PROMPT_VERSION, ROBOT

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "metaworld-small"
MAX_FRAMES = 16
"""Frames shown to models that do not say how many they were trained on."""


class RewardModel:
    """A loaded model that judges clips.

    `frames` of its methods are one clip: a path, an array uint8 (t, h, w, 3) of RGB, or a list of pictures. `tasks` in
    place of `task` are asked together, about as many clips or all about one; then the answer is a list.
    """

    def __init__(self, predictor: Predictor, *, max_frames: int | None = None, success: SuccessRule = SUCCESS) -> None:
        trained = predictor.trained
        self.discrete = trained is not None and bool(trained.discrete_progress)
        if max_frames is not None:
            check_whole("max_frames", max_frames)
        if max_frames is not None and max_frames < 2:
            raise ConfigError(f"`max_frames` must be at least 2, but is {max_frames}")
        self.max_frames = max_frames or max((trained and trained.max_frames) or MAX_FRAMES, 2)
        """Frames shown of a clip, at most."""
        self.success = success
        self._predictor = predictor.over(predictor.frames)  # the caller's own goes on decoding as it did
        self._predictor.decoding = Decoding("scored", discrete=self.discrete)
        shown = Presentation(self.max_frames, self.max_frames, EVENLY, PROMPT_VERSION, self.discrete)
        self._predictor.compare(shown, way_out="leave `max_frames` out")

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path = DEFAULT_MODEL,
        device: str = AUTO,
        *,
        base_model: str | None = None,
        max_frames: int | None = None,
        success: SuccessRule = SUCCESS,
        trust_remote_code: bool = False,
    ) -> RewardModel:
        """Load a checkpoint, an adapter, a stock model or one on the hub; `auto` takes the best device there is.

        `base_model` takes the place of the base that an adapter records.
        """
        hush_libraries()
        predictor = Predictor.from_checkpoint(
            path, device, datasets_root=Path(), base_model=base_model, trust_remote_code=trust_remote_code
        )
        return cls(predictor, max_frames=max_frames, success=success)

    @property
    def name(self) -> str:
        """The folder or hub name that it was loaded from."""
        return self._predictor.loaded.name

    def fingerprint(self) -> str:
        """Return a hash of the weights and of whatever else answers depend on."""
        identity = json.dumps([self._predictor.identity(), self.max_frames, self.discrete], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:16]

    @property
    def seen_as(self) -> SeenAs | None:
        """The size in which the model sees frames, where that is the same for any number of them."""
        form = self._predictor.form
        if form.resized_height is None:
            return None
        height, width = self._predictor.frames.size(1, form.resized_height, form.resized_width or 0)
        return SeenAs(height, width, form.resize_filter)

    @property
    def network(self) -> torch.nn.Module:
        """What answers: its weights are moved and counted by it."""
        network: torch.nn.Module = self._predictor.loaded.model
        return network

    @property
    def reading(self) -> IngestOptions:
        """How files are read: brought to the model's own size while decoding where that comes to the same."""
        form = self._predictor.form
        if form.resize_filter in ("box", "area"):
            return IngestOptions(height=form.resized_height, width=form.resized_width)
        return IngestOptions()

    @overload
    def progress(self, frames: Any, task: str, *, actor: str = ..., batch_size: int = ...) -> Progress: ...
    @overload
    def progress(
        self, frames: Any, *, tasks: Sequence[str], actor: str = ..., batch_size: int = ...
    ) -> list[Progress]: ...
    def progress(
        self,
        frames: Any,
        task: str | None = None,
        *,
        tasks: Sequence[str] | None = None,
        actor: str = ROBOT,
        batch_size: int = 16,
    ) -> Progress | list[Progress]:
        """Return how far the robot has got at the end of the clip, of all its frames."""
        wanted = Asked.of(task, tasks, actor)
        clips = wanted.clips(frames, self.reading)
        shown = [[evenly_spaced(len(clip), self.max_frames).tolist()] for clip in clips]
        curves = self.judged(clips, wanted.texts, shown, actor=actor, batch_size=batch_size)
        return wanted.answer([curve[0] for curve in curves])

    @overload
    def curve(
        self,
        frames: Any,
        task: str,
        *,
        points: int | None = ...,
        frame_choice: str = ...,
        actor: str = ...,
        batch_size: int = ...,
    ) -> Curve: ...
    @overload
    def curve(
        self,
        frames: Any,
        *,
        tasks: Sequence[str],
        points: int | None = ...,
        frame_choice: str = ...,
        actor: str = ...,
        batch_size: int = ...,
    ) -> list[Curve]: ...
    def curve(
        self,
        frames: Any,
        task: str | None = None,
        *,
        tasks: Sequence[str] | None = None,
        points: int | None = None,
        frame_choice: str = EVENLY,
        actor: str = ROBOT,
        batch_size: int = 16,
    ) -> Curve | list[Curve]:
        """Return the progress at the end of every prefix of the clip, or of `points` of them, evenly spaced.

        What prefixes share is computed once (`rfm.inference.answering.shared`). `frame_choice` says which frames of
        each are shown: as in training, so that every point is what `progress` says of that prefix, or `nested`, which
        is faster for clips of more frames than the model is shown (`rfm.frames.spacing`).
        """
        check_points(points, frame_choice)
        wanted = Asked.of(task, tasks, actor)
        clips = wanted.clips(frames, self.reading)
        shown = [[*shown_of_prefixes(len(clip), self.max_frames, points, frame_choice)] for clip in clips]
        return wanted.answer(self.judged(clips, wanted.texts, shown, actor=actor, batch_size=batch_size))

    @overload
    def prefer(self, a: Any, b: Any, task: str, *, actor: str = ..., batch_size: int = ...) -> Preference: ...
    @overload
    def prefer(
        self, a: Any, b: Any, *, tasks: Sequence[str], actor: str = ..., batch_size: int = ...
    ) -> list[Preference]: ...
    def prefer(
        self,
        a: Any,
        b: Any,
        task: str | None = None,
        *,
        tasks: Sequence[str] | None = None,
        actor: str = ROBOT,
        batch_size: int = 16,
    ) -> Preference | list[Preference]:
        """Return which of two clips made more progress: asked in both orders, and averaged.

        Both show equally many frames, as in training.
        """
        wanted = Asked.of(task, tasks, actor)
        check_batch_size(batch_size)
        sides = wanted.sides(a, b, self.reading)
        held: dict[str, Any] = {}
        rows: list[dict[str, Any]] = []
        for number, (first, second, text) in enumerate(zip(*sides, wanted.texts, strict=True)):
            names = [f"{number} {side}" for side in "ab"]
            held |= dict(zip(names, (first.frames, second.frames), strict=True))
            pair = list(zip(names, shown_of_pair(len(first), len(second), self.max_frames), strict=True))
            rows += [preference_row(text, actor, *pair), preference_row(text, actor, *pair[::-1])]
        said = distribution_of(asked(self._predictor, held, rows, batch_size), valid_answers("preference"))
        return wanted.answer([_preference(text, said, 2 * number) for number, text in enumerate(wanted.texts)])

    def tracker(self, task: str, *, actor: str = ROBOT) -> Tracker:
        """Return what judges a robot while it moves, frame by frame."""
        return Tracker(self, task, actor)

    def as_shown(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
        """Return frames in the size in which the model sees them, where that is the same for any number of them."""
        return frames if self.seen_as is None else self.seen_as.resized(frames)

    def judged(
        self,
        clips: Sequence[Clip],
        tasks: Sequence[str],
        shown: Sequence[Sequence[Sequence[int]]],
        *,
        actor: str = ROBOT,
        batch_size: int = 16,
    ) -> list[Curve]:
        """Return a curve a clip and task: the progress at the last of each of these sets of its frames, shown exactly.

        What `progress` and `curve` ask once they know which frames to show; a server that has only those asks this.
        """
        check_batch_size(batch_size)
        names = {id(clip): str(number) for number, clip in enumerate(clips)}
        held = {names[id(clip)]: clip.frames for clip in clips}
        rows = [
            progress_row(text, actor, self.discrete, names[id(clip)], list(indices))
            for clip, text, of_clip in zip(clips, tasks, shown, strict=True)
            for indices in of_clip
        ]
        answers = valid_answers("progress", discrete=self.discrete)
        said = distribution_of(asked_together(self._predictor, held, rows, batch_size), answers)
        scale = (np.array(answers, np.float64) - answers[0]) / (answers[-1] - answers[0])
        borders = np.cumsum([0, *map(len, shown)])
        return [
            self._curve(text, clip, of_clip, said.part(slice(*borders[number : number + 2]), scale))
            for number, (text, clip, of_clip) in enumerate(zip(tasks, clips, shown, strict=True))
        ]

    def _curve(self, text: str, clip: Clip, shown: Sequence[Sequence[int]], said: Distribution) -> Curve:
        ends = [indices[-1] for indices in shown]
        seconds = None if clip.seconds is None else clip.seconds[ends]
        frames = np.array(clip.numbered(ends), np.int64)
        success = self.success.along_curve(said.mean())
        return Curve(text, frames, seconds, tuple(map(clip.numbered, shown)), success, said)


def _preference(task: str, said: Distribution, at: int) -> Preference:
    """Read the answers to a pair in both orders, which stand one after the other."""
    a_first, b_first = float(said.probabilities[at, 0]), float(said.probabilities[at + 1, 1])
    return Preference(task, (a_first + b_first) / 2, (a_first, b_first), float(said.leftover[at : at + 2].mean()))
