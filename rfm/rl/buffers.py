"""Replay buffers paid anew: recorded steps in, the rewards out that `RewardWrapper` would have paid for them.

Of each episode the pictures that the wrapper would have scored are asked about as one curve, so that prefixes share
work; frames in between are never read. Memory: the scored frames of a few episodes, in the size that the model sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from rfm.errors import DataError
from rfm.rl.payment import Mode, Rules, checked_scores
from rfm.scoring.given_frames import Clip, read_clip
from rfm.scoring.instructions import instruction, instructions
from rfm.scoring.records import Curve
from rfm.scoring.seen_as import OtherSizeError, seen_as_of

_TOGETHER = 256
"""Scored frames that are asked about together, or one longer episode."""


class CurveJudge(Protocol):
    """A `RewardModel`, or a client of one."""

    def curve(self, frames: Any, *, tasks: Sequence[str]) -> list[Curve]:
        """Return how far each of several clips has got at each of its frames."""


@dataclass(frozen=True)
class _Episode:
    start: int
    steps: int
    seen: Int64[np.ndarray, " k"]
    """Behind how many of its steps a picture is scored, from 0."""

    def behind(self, steps: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Return which scored picture is the last one behind so many steps."""
        return np.searchsorted(self.seen, steps, side="right") - 1


def relabel(
    model: CurveJudge,
    frames: Any,
    next_frames: Any,
    task: str | Sequence[str],
    *,
    terminated: Any,
    truncated: Any = None,
    every: int = 8,
    mode: Mode = "delta",
    gamma: float = 0.99,
    weight: float = 1.0,
) -> Float32[np.ndarray, " n"]:
    """Return what each of n recorded steps is paid, in the order in which one environment took them.

    `frames` are what was seen before each step, `next_frames` behind it: uint8 (n, h, w, 3) of RGB, anything that is
    indexed like an array, or a list of frames. `task` is the instruction, one or one a step. An episode ends with a
    step that is `terminated` or `truncated`; the last one may be unfinished.

    Raises:
        DataError: an array is not as said above, or a score is no number between 0 and 1.
        ConfigError: an option is not one of `rfm.rl.payment.Rules`.

    """
    rules = Rules(every, mode, gamma, weight)
    count = _length(frames, "`frames`")
    ends = _flags(terminated, "terminated", count)
    cuts = np.zeros(count, bool) if truncated is None else _flags(truncated, "truncated", count)
    if _length(next_frames, "`next_frames`") != count:
        raise DataError(f"`next_frames` must be as many as `frames`, {count}, but are {len(next_frames)}")
    texts = _Texts(task, count)
    asked = model, frames, next_frames, texts, rules, ends, cuts
    try:
        return _judged(*asked)
    except OtherSizeError:  # a server replaced its model by one that sees another size: all anew, of that one alone
        return _judged(*asked)


class _Texts:
    """The instructions of the steps."""

    def __init__(self, task: str | Sequence[str], count: int) -> None:
        self._task = instruction(task) if isinstance(task, str) else instructions(task, "`task`")
        if isinstance(self._task, list) and len(self._task) != count:
            raise DataError(f"`task` must be one text, or one a step, {count}, but are {len(self._task)}")

    def of(self, episode: _Episode) -> str:
        """Return an episode's one instruction."""
        if isinstance(self._task, str):
            return self._task
        texts = {*self._task[episode.start : episode.start + episode.steps]}
        if len(texts) > 1:
            some = " and ".join(map(repr, sorted(texts)[:2]))
            raise DataError(f"`task` must be the same in an episode, but from step {episode.start} on it is {some}")
        return texts.pop()


def _judged(
    model: Any, frames: Any, next_frames: Any, texts: _Texts, rules: Rules, ends: np.ndarray, cuts: np.ndarray
) -> Float32[np.ndarray, " n"]:
    paid = np.zeros(len(ends), np.float32)
    for group in _groups(_episodes(ends | cuts, rules.every)):
        clips = [_shown(model, frames, next_frames, episode) for episode in group]
        curves = model.curve(clips, tasks=[texts.of(episode) for episode in group])
        for episode, curve in zip(group, curves, strict=True):
            steps = slice(episode.start, episode.start + episode.steps)
            paid[steps] = _paid(episode, checked_scores(curve.expected), rules, ends[steps], cuts[steps])
    return paid


def _length(frames: Any, name: str) -> int:
    if not hasattr(frames, "__len__") or not hasattr(frames, "__getitem__") or isinstance(frames, dict | str):
        raise DataError(f"{name} must be an array of frames, or a list of them, but is {type(frames).__name__}")
    return len(frames)


def _flags(given: Any, name: str, count: int) -> Bool[np.ndarray, " n"]:
    flags = np.asarray(given)
    if flags.shape != (count,):
        raise DataError(
            f"`{name}` must have shape ({count},), a value a frame, but has {flags.shape}; of several environments "
            "give one at a time"
        )
    if not np.isin(flags, (0, 1)).all():
        raise DataError(f"`{name}` must hold true and false, but holds {flags[~np.isin(flags, (0, 1))][0]}")
    return flags.astype(bool)


def _episodes(over: Bool[np.ndarray, " n"], every: int) -> Iterator[_Episode]:
    borders = [0, *(np.flatnonzero(over) + 1).tolist()]
    if borders[-1] < len(over):
        borders.append(len(over))
    for start, stop in pairwise(borders):
        seen = np.arange(0, stop - start + 1, every)
        if over[stop - 1] and seen[-1] != stop - start:
            seen = np.append(seen, stop - start)
        yield _Episode(start, stop - start, seen)


def _groups(episodes: Iterator[_Episode]) -> Iterator[list[_Episode]]:
    held, waiting = list[_Episode](), 0
    for episode in episodes:
        if held and waiting + len(episode.seen) > _TOGETHER:
            yield held
            held, waiting = [], 0
        held.append(episode)
        waiting += len(episode.seen)
    if held:
        yield held


def _shown(model: Any, frames: Any, next_frames: Any, episode: _Episode) -> Clip | UInt8[np.ndarray, "k h w 3"]:
    """Return the scored pictures of an episode, in the size that the model sees, where it says so."""
    start = episode.start
    parts = [(frames, "`frames`", np.array([start])), (next_frames, "`next_frames`", start + episode.seen[1:] - 1)]
    read = [np.asarray(read_clip(_chosen(of, at), name=name).frames) for of, name, at in parts if len(at)]
    if len({part.shape[1:] for part in read}) > 1:
        sizes = " and ".join(f"{part.shape[2]} x {part.shape[1]}" for part in read)
        raise DataError(f"`frames` and `next_frames` must be of one size, but have {sizes} pixels")
    shown, seen_as = np.concatenate(read), seen_as_of(model)
    return shown if seen_as is None else Clip(seen_as.resized(shown), "`frames`", kept_as=seen_as)


def _chosen(frames: Any, at: Int64[np.ndarray, " k"]) -> Any:
    if isinstance(frames, list | tuple):
        return [frames[number] for number in at.tolist()]
    chosen = frames[at]
    return chosen if hasattr(chosen, "detach") else np.asarray(chosen)


def _paid(
    episode: _Episode,
    values: Float64[np.ndarray, " k"],
    rules: Rules,
    ends: Bool[np.ndarray, " n"],
    cuts: Bool[np.ndarray, " n"],
) -> list[float]:
    at = values[episode.behind(np.arange(episode.steps + 1))].tolist()
    return [
        rules.paid(before, after, terminated=end, truncated=cut)
        for before, after, end, cut in zip(at, at[1:], ends.tolist(), cuts.tolist(), strict=False)
    ]
