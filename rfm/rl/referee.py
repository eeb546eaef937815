"""Judges several episodes at once and says what each step is paid: what both wrappers share.

A frame of an episode is kept when it is scored, in the size that the model sees; the model is asked about all frames
kept so far. A value is therefore the same number that `RewardModel.progress` gives for those frames. Scores are asked
in one batch for all episodes that are due. A frame whose scoring failed stays: the next one is another step's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.rl.payment import Rules, checked_scores
from rfm.scoring.episode_frames import EpisodeFrames, Frame
from rfm.scoring.given_frames import Clip
from rfm.scoring.instructions import instruction
from rfm.scoring.records import Progress
from rfm.scoring.seen_as import seen_as_of
from rfm.scoring.success import DEFAULT as SUCCESS


class Judge(Protocol):
    """A `RewardModel`, or a client of one.

    What has a `seen_as` is given clips in that size, all else arrays.
    """

    def progress(self, frames: Any, *, tasks: Sequence[str]) -> list[Progress]:
        """Return how far each of several clips has got on its task."""


@dataclass(frozen=True)
class Shared:
    """A model in the arguments that Gymnasium records to make a wrapper anew: the same one in all copies of them."""

    model: Judge

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


@dataclass(frozen=True)
class Score:
    """What is known of an episode's progress."""

    progress: float
    """In [0, 1]."""
    success_prob: float
    """The probability of progress of at least the threshold."""
    step: int
    """Of the episode, at which it was seen."""
    streak: int
    """Scorings in a row, this one included, that reach the threshold."""


@dataclass(frozen=True)
class Paid:
    """What the model's part of a step came to."""

    reward: float
    score: Score
    """The last one known after the step."""
    success: bool
    """Whether the model ends the episode as a success."""
    step: int
    """Of the episode, from 1."""
    error: str | None = None
    """Why the last scoring failed, under `on_error=hold`."""


@dataclass(eq=False)
class _Episode:
    task: str
    frames: EpisodeFrames = field(default_factory=EpisodeFrames)
    step: int = 0
    score: Score | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Question:
    """An episode as it was when its score was asked for."""

    episode: _Episode
    step: int
    frames: Clip | UInt8[np.ndarray, "t h w 3"]


class Referee:
    """The episodes of `len(tasks)` places, each place one after another."""

    def __init__(self, model: Judge | Shared, tasks: Sequence[str], rules: Rules) -> None:
        self._model = model.model if isinstance(model, Shared) else model
        self._tasks, self.rules = tuple(map(instruction, tasks)), rules
        self._episodes: dict[int, _Episode] = {}
        self._worker = ThreadPoolExecutor(1, "reward model") if rules.asynchronous else None
        self._waiting: Future[list[Progress]] | None = None
        self._asked: Sequence[_Question] = ()

    def close(self) -> None:
        """Let go of the model."""
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)

    def begin(self, frames: Mapping[int, Frame]) -> dict[int, Score]:
        """Begin an episode at each of these places and return the scores of their first states.

        Raises what the model raised: there is no score yet that could be held.
        """
        questions = [self._first(place, frame) for place, frame in frames.items()]
        if questions:
            self._take(questions, self._ask(questions))
            for place, frame in frames.items():
                self._keep(place, frame)
        return {place: self._known(place) for place in frames}

    def forget(self, places: Iterable[int]) -> None:
        """Let go of episodes that are over: nothing is paid at their places until `begin`."""
        for place in places:
            self._episodes.pop(place, None)

    def due(self, live: Iterable[int], ended: Iterable[int]) -> list[int]:
        """Count a step of each live place, and return of which of them a frame is needed."""
        over = set(ended)
        for place in live:
            self._begun(place).step += 1
        return [place for place in live if place in over or self._episodes[place].step % self.rules.every == 0]

    def pay(
        self,
        live: Sequence[int],
        frames: Mapping[int, Frame],
        terminated: Iterable[int],
        truncated: Iterable[int],
    ) -> dict[int, Paid]:
        """Return what each live place's step is paid; `frames` are those of the places that are due."""
        terminated, truncated = set(terminated), set(truncated)
        before = {place: self._known(place) for place in live}
        for place, frame in frames.items():
            self._keep(place, frame)
        self._score(list(frames), final=terminated | truncated)
        return {place: self._paid(place, before[place], place in terminated, place in truncated) for place in live}

    def _paid(self, place: int, before: Score, terminated: bool, truncated: bool) -> Paid:
        episode, after = self._episodes[place], self._known(place)
        wanted = self.rules.success_threshold
        success = wanted is not None and after is not before and after.streak >= self.rules.success_steps
        reward = self.rules.paid(before.progress, after.progress, terminated=terminated or success, truncated=truncated)
        return Paid(reward, after, success, episode.step, episode.error)

    def _score(self, places: Sequence[int], final: set[int]) -> None:
        """Score these places: at once, or later unless an episode ends."""
        self._collect(wait=bool(final))
        questions = [self._question(place) for place in places]
        if not questions:
            return
        if self._worker is None or final:
            with self._failures(questions):
                self._take(questions, self._ask(questions))
        elif self._waiting is None:  # else the model is behind: the frames are kept, and asked about next time
            self._waiting, self._asked = self._worker.submit(self._said, questions), questions

    def _collect(self, *, wait: bool) -> None:
        """Take what was asked for earlier, if it is there."""
        if self._waiting is None or not (wait or self._waiting.done()):
            return
        waiting, self._waiting = self._waiting, None
        with self._failures(self._asked):
            self._take(self._asked, waiting.result())

    @contextmanager
    def _failures(self, questions: Sequence[_Question]) -> Iterator[None]:
        """Raise what fails, or note it where scores are held."""
        try:
            yield
        except Exception as error:
            if self.rules.on_error == "raise":
                raise
            for question in questions:
                question.episode.error = f"{type(error).__name__}: {error}"

    def _ask(self, questions: Sequence[_Question]) -> list[Progress]:
        if self._worker is not None:  # the model is used by one thread alone
            return self._worker.submit(self._said, questions).result()
        return self._said(questions)

    def _said(self, questions: Sequence[_Question]) -> list[Progress]:
        """Return what the model says of each; anything but a score in [0, 1] is an error."""
        said = self._model.progress([q.frames for q in questions], tasks=[q.episode.task for q in questions])
        if len(said) != len(questions):
            raise DataError(f"the model must score {len(questions)} clips, but scored {len(said)}")
        checked_scores([one.expected for one in said])
        return said

    def _take(self, questions: Sequence[_Question], said: Sequence[Progress]) -> None:
        for question, one in zip(questions, said, strict=True):
            episode, progress = question.episode, min(max(one.expected, 0.0), 1.0)
            wanted = self.rules.success_threshold or SUCCESS.threshold
            streak = episode.score.streak + 1 if episode.score else 1
            reached = progress >= wanted
            likely = float(one.probabilities[one.answers >= wanted - 1e-9].sum())
            episode.score = Score(progress, likely, question.step, streak if reached else 0)
            episode.error = None

    def _first(self, place: int, frame: Frame) -> _Question:
        episode = self._episodes[place] = _Episode(self._tasks[place])
        return _Question(episode, 0, frame[None])  # as it is: a server may have replaced its model between episodes

    def _keep(self, place: int, frame: Frame) -> None:
        frames = self._episodes[place].frames
        frames.keep(frames.fitting(frame[None]), seen_as_of(self._model))

    def _question(self, place: int) -> _Question:
        episode = self._episodes[place]
        clip = episode.frames.clip()
        return _Question(episode, episode.step, np.stack([*clip.frames]) if clip.kept_as is None else clip)

    def _begun(self, place: int) -> _Episode:
        episode = self._episodes.get(place)
        if episode is None:
            raise DataError(
                "an episode must begin by `reset`, whose state is scored, but did not; reset the environment"
            )
        return episode

    def _known(self, place: int) -> Score:
        score = self._begun(place).score
        if score is None:
            raise DataError("the first state of an episode was not scored; reset the environment")
        return score
