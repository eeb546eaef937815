"""What a viewer sees of a question without understanding it: counts, directions, turns, sizes, sources, words.

Of two clips of one file also which frames are the same picture in both. Frame numbers themselves are left out, for they
are the label. So is everything that pictures show: a shortcut through
the content would have to be learnt from content.

Shape legend: n rows, f features.
"""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from rfm.audit.reading.questions import Clip, Questions, Words
from rfm.audit.reading.ragged import Ragged

MOST_WORDS = 64
"""Prompt words that are features: those whose presence varies most."""

_WORD = re.compile(r"\w+")
_MOTION = 9


def motion(frames: Ragged) -> Float64[np.ndarray, "n 9"]:
    """Return how each clip moves.

    Shown frames; distinct ones; direction of the first and of the last move (1, -1, or 0 for none); turns; the places,
    among shown frames, of the first and the last turn (-1 for none); frames that stand still; whether the end does.
    """
    way = np.sign(np.diff(frames.values, prepend=0))
    within = frames.place > 0
    moving = _subset(frames, within & (way != 0))
    direction, place = way[moving.values], frames.place[moving.values]
    turned = np.diff(direction, prepend=0) != 0
    turns = Ragged(np.arange(len(direction)), moving.offsets)
    turning = _subset(turns, turned & (turns.place > 0))
    turn_places = Ragged(place[turning.values], turning.offsets)
    return np.stack(
        [
            frames.lengths,
            frames.distinct(),
            Ragged(direction, moving.offsets).at(0, missing=0),
            Ragged(direction, moving.offsets).at(-1, missing=0),
            turning.lengths,
            turn_places.at(0),
            turn_places.at(-1),
            np.bincount(frames.owner[within & (way == 0)], minlength=len(frames)),
            (frames.lengths > 1) & (Ragged(way, frames.offsets).at(-1) == 0),
        ],
        axis=1,
    ).astype(np.float64)


def viewer_features(
    questions: Questions, rows: Int64[np.ndarray, " n"], prefixes: tuple[str, ...], sources: dict[str, np.ndarray]
) -> Float32[np.ndarray, "n f"]:
    """Return the features of `rows` but for words: each clip's motion, size and source, and how the last two compare.

    `sources` are codes by prefix for all rows. Which clip comes first is in the order of the columns.
    """
    clips = [_clip_features(questions.clips[prefix], rows, sources[prefix]) for prefix in prefixes]
    if len(clips) == 1:
        return clips[0].astype(np.float32)
    one, two = (questions.clips[prefix] for prefix in prefixes[-2:])
    return np.concatenate(
        [*clips, clips[-2] - clips[-1], clips[-2] == clips[-1], equal_frames(one, two, rows)], axis=1
    ).astype(np.float32)


def equal_frames(one: Clip, two: Clip, rows: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 18"]:
    """Return which frames of two clips are equal: of each clip within the other, and the difference.

    Whose end is shown within the other clip is known here, hence which goes on where the other stopped. All is -1 or 0
    where the clips are of two files.
    """
    same_file = one.path[rows] == two.path[rows]
    frames = one.frames.take(rows), two.frames.take(rows)
    found = _found_in(*frames, same_file), _found_in(*frames[::-1], same_file)
    return np.concatenate([*found, found[0] - found[1]], axis=1)


def _found_in(clip: Ragged, other: Ragged, same_file: Bool[np.ndarray, " n"]) -> Float64[np.ndarray, "n 6"]:
    """Return where a clip's frames are shown in the other one.

    How many are; the first and the last place there of its end; its last place that is, and that place there; the
    furthest place there of any. -1 for none.
    """
    first, last = _places(clip, other, same_file, last=False), _places(clip, other, same_file, last=True)
    shared = first.values >= 0
    latest = Ragged(np.where(shared, clip.place, -1), clip.offsets).highest()
    there = np.where(latest >= 0, first.values[clip.offsets[:-1] + np.maximum(latest, 0)], -1)
    count = np.bincount(clip.owner[shared], minlength=len(clip))
    return np.stack([count, first.at(-1), last.at(-1), latest, there, last.highest()], axis=1).astype(np.float64)


def _places(clip: Ragged, other: Ragged, same_file: Bool[np.ndarray, " n"], *, last: bool) -> Ragged:
    """Return for each frame of a clip its first or its last place in the other one; -1 for none."""
    span = int(max(clip.values.max(initial=0), other.values.max(initial=0))) + 1
    step = -1 if last else 1
    shown, at = np.unique((other.owner * span + other.values)[::step], return_index=True)
    wanted = clip.owner * span + clip.values
    near = np.minimum(np.searchsorted(shown, wanted), max(len(shown) - 1, 0))
    found = (shown[near] == wanted) & same_file[clip.owner]
    return Ragged(np.where(found, other.place[::step][at[near]], -1), clip.offsets)


def words(prompt: Words, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n w"]:
    """Return which of up to MOST_WORDS words each prompt has."""
    used, code = np.unique(prompt.code[rows], return_inverse=True)
    bags = [set(_WORD.findall(prompt.distinct[at].lower())) if at >= 0 else set() for at in used]
    weight = np.bincount(code, minlength=len(used)) / max(len(rows), 1)
    share: dict[str, float] = {}
    for bag, part in zip(bags, weight.tolist(), strict=True):
        for word in bag:
            share[word] = share.get(word, 0.0) + part
    varying = sorted((word for word in share if 0 < share[word] < 1), key=lambda word: (abs(share[word] - 0.5), word))
    chosen = varying[:MOST_WORDS]
    table = np.array([[word in bag for word in chosen] for bag in bags], np.float32).reshape(len(used), len(chosen))
    return table[code]


def _clip_features(clip: Clip, rows: Int64[np.ndarray, " n"], source: np.ndarray) -> Float64[np.ndarray, "n f"]:
    features = [motion(clip.frames.take(rows)), source[rows][:, None].astype(np.float64)]
    if clip.shape is not None:
        shape = clip.shape.take(rows)
        features += [shape.at(1)[:, None].astype(np.float64), shape.at(2)[:, None].astype(np.float64)]
    return np.concatenate(features, axis=1)


def _subset(lists: Ragged, chosen: np.ndarray) -> Ragged:
    """Return the places, in `lists.values`, of the chosen values of each list."""
    lengths = np.bincount(lists.owner[chosen], minlength=len(lists))
    return Ragged(np.flatnonzero(chosen), np.concatenate([[0], np.cumsum(lengths)]))
