"""What a worker is asked and what it says: small frozen records that go through a pipe. No torch.

A question holds only the frames that the model will be shown, whatever the clip's length: those are chosen before, by
the rule of `rfm.frames.spacing`, so that a value is what `RewardModel` says of the whole clip. A curve is asked in
pieces of `PIECE` points: other requests come in between, and a long video needs no more memory than a short one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np

from rfm.frames.spacing import EVENLY, evenly_spaced, shown_of_pair, shown_of_prefixes
from rfm.inference.answering.distribution import Distribution
from rfm.scoring.given_frames import Clip
from rfm.scoring.records import Curve, Preference, Progress
from rfm.scoring.success import SuccessRule

PIECE = 16
"""Points of a curve that are asked together."""


@dataclass(frozen=True)
class Ask:
    """What a request wants to know of a clip."""

    task: str
    actor: str


@dataclass(frozen=True, eq=False)
class Points:
    """How far the robot got at the last of each of these sets of a clip's frames."""

    ask: Ask
    clip: Clip
    shown: tuple[tuple[int, ...], ...]

    @property
    def kind(self) -> tuple[object, ...]:
        """Questions of one kind are answered together: alike in length and size, so that little is padded."""
        alone = id(self) if len(self.shown) > 1 else 0  # a piece of a curve shares its work within itself
        return ("points", self.ask.actor, len(self.shown[0]), self.clip.frames[0].shape, alone)


@dataclass(frozen=True, eq=False)
class Pair:
    """Which of two clips got further."""

    ask: Ask
    a: Clip
    b: Clip

    @property
    def kind(self) -> tuple[object, ...]:
        """See `Points.kind`."""
        return ("pair", self.ask.actor, len(self.a), self.a.frames[0].shape, self.b.frames[0].shape)


Question: TypeAlias = Points | Pair


class Fault(NamedTuple):
    """Why a question has no answer: `ours` where the question is not to blame."""

    text: str
    ours: bool


Answer: TypeAlias = Curve | Preference | Fault


def about_the_end(ask: Ask, clip: Clip, max_frames: int) -> Points:
    """Return the question how far the robot is at the end of a clip."""
    return _points(ask, clip, [evenly_spaced(len(clip), max_frames).tolist()])


def along(ask: Ask, clip: Clip, max_frames: int, points: int | None, frame_choice: str = EVENLY) -> Iterator[Points]:
    """Return the questions of a curve, in order; their answers are put together by `joined`."""
    return in_pieces(ask, clip, shown_of_prefixes(len(clip), max_frames, points, frame_choice))


def in_pieces(ask: Ask, clip: Clip, shown: Iterator[Sequence[int]]) -> Iterator[Points]:
    """Yield the questions of a curve whose points show just these frames of a clip."""
    while piece := [*islice(shown, PIECE)]:
        yield _points(ask, clip, piece)


def about_a_pair(ask: Ask, a: Clip, b: Clip, max_frames: int) -> Pair:
    """Return the question which of two clips got further; both show equally many frames."""
    of_a, of_b = shown_of_pair(len(a), len(b), max_frames)
    return Pair(ask, _part(a, of_a), _part(b, of_b))


def _points(ask: Ask, clip: Clip, shown: Sequence[Sequence[int]]) -> Points:
    needed = sorted({frame for frames in shown for frame in frames})
    places = {frame: at for at, frame in enumerate(needed)}
    return Points(ask, _part(clip, needed), tuple(tuple(places[frame] for frame in frames) for frames in shown))


def _part(clip: Clip, frames: Sequence[int]) -> Clip:
    """Return some frames as a clip that remembers their numbers."""
    chosen = np.stack([clip.frames[frame] for frame in frames])
    seconds = None if clip.seconds is None else clip.seconds[list(frames)]
    return Clip(chosen, clip.name, np.array(clip.numbered(frames), np.int64), seconds)


def joined(pieces: Sequence[Curve], success: SuccessRule) -> Curve:
    """Return the curve of which these are the pieces, in order."""
    first = pieces[0]
    distribution = Distribution(
        first.distribution.answers,
        np.concatenate([piece.distribution.probabilities for piece in pieces]),
        np.concatenate([piece.distribution.leftover for piece in pieces]),
    )
    seconds = [piece.seconds for piece in pieces if piece.seconds is not None]
    return Curve(
        first.task,
        np.concatenate([piece.frames for piece in pieces]),
        np.concatenate(seconds) if len(seconds) == len(pieces) else None,
        tuple(shown for piece in pieces for shown in piece.shown),
        success.along_curve(distribution.mean()),
        distribution,
    )


def at_the_end(curve: Curve) -> Progress:
    """Return the answer to `about_the_end`."""
    return curve[0]
