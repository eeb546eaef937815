"""What two datasets share: frame files, rows, task texts, and episodes that look alike under other names.

Episodes that look alike are first found by perceptual hash and then compared picture by picture, since two different
episodes before one camera can be a bit apart (`rfm.frames.alike.near_duplicates`).

Shape legend: m and p episodes of the two datasets.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from rfm.audit.reading.questions import Questions
from rfm.audit.repeats import row_hashes
from rfm.errors import DataError
from rfm.frames.alike.near_duplicates import MOST_BITS, episode_cells, same_picture
from rfm.frames.alike.perceptual_hash import hamming, hash_episodes
from rfm.trajectories.record import normalise_task

_BLOCK = 1 << 22  # pairs of hashes compared at a time


@dataclass(frozen=True)
class Overlap:
    """What two datasets share; names are frame files relative to the datasets root."""

    trajectories: list[str]
    """Those in both, by name; all but the namesakes."""
    namesakes: list[str]
    """Names in both that stand for other episodes: they lie under two roots and look different."""
    rows: int
    """Rows of the second that the first has too."""
    tasks: list[str]


@dataclass(frozen=True)
class Prints:
    """The episodes of a dataset as they look."""

    root: Path
    paths: list[str]
    num_frames: Int64[np.ndarray, " m"]
    hashes: np.ndarray
    left_out: int
    """Episodes that were not hashed: too many, unreadable, or of unknown length."""


def common(first: Questions, second: Questions) -> list[str]:
    """Return the frame files that two datasets name."""
    return sorted(set(first.paths) & set(second.paths))


def shared(first: Questions, second: Questions, namesakes: Collection[str] = ()) -> Overlap:
    """Return what two datasets have in common by name; `namesakes` are names that stand for other episodes."""
    apart = np.array([*(path in namesakes for path in second.paths), False])
    shows_one = np.any([apart[clip.path] for clip in second.clips.values()], axis=0)
    rows = int((np.isin(row_hashes(second), row_hashes(first)) & ~shows_one).sum())
    tasks = {normalise_task(text): text for text in second.task.distinct}
    known = {normalise_task(text) for text in first.task.distinct}
    return Overlap(
        [path for path in common(first, second) if path not in namesakes],
        sorted(namesakes),
        rows,
        sorted(text for name, text in tasks.items() if name in known),
    )


def take_prints(root: Path, paths: Sequence[str], num_frames: Int64[np.ndarray, " m"], most: int) -> Prints:
    """Hash up to `most` episodes, drawn evenly with a fixed seed; those of unknown length (-1) are left out."""
    known = np.flatnonzero(num_frames > 0)
    chosen = np.sort(np.random.default_rng(0).permutation(known)[:most])
    hashes, unreadable = hash_episodes(root, [paths[at] for at in chosen], num_frames[chosen])
    kept = np.setdiff1d(np.arange(len(chosen)), list(unreadable))
    at = chosen[kept]
    return Prints(root, [paths[one] for one in at], num_frames[at], hashes[kept], len(paths) - len(at))


def lookalikes(first: Prints, second: Prints) -> list[tuple[str, str]]:
    """Return pairs (of the first, of the second) of different files that show the same; one for each of the second.

    All hashes are compared with all: 5,000 times 5,000 in half a second.
    """
    pictures = _Pictures(first), _Pictures(second)
    names = {path: at for at, path in enumerate({*first.paths, *second.paths})}
    name = [np.array([names[path] for path in prints.paths], np.int64) for prints in (first, second)]
    twin = np.full(len(second.paths), -1, np.int64)
    step = max(1, _BLOCK // max(len(second.paths), 1))
    for low in range(0, len(first.paths), step):
        open_ones = np.flatnonzero(twin < 0)
        near = hamming(first.hashes[low : low + step, None], second.hashes[None, open_ones]) <= MOST_BITS
        i, j = np.nonzero(near)
        i, j = i + low, open_ones[j]
        differ = name[0][i] != name[1][j]
        i, j = i[differ], j[differ]
        same = _alike(pictures[0], i, pictures[1], j)
        twin[j[same]] = i[same]
    return [(first.paths[twin[j]], second.paths[j]) for j in np.flatnonzero(twin >= 0)]


def told_apart(first: Prints, second: Prints, names: Sequence[str]) -> tuple[list[str], int]:
    """Return which names stand for episodes that look different under two roots, and how many could not be compared."""
    places = [{path: at for at, path in enumerate(prints.paths)} for prints in (first, second)]
    known = [name for name in names if all(name in place for place in places)]
    i, j = (np.array([place[name] for name in known], np.int64) for place in places)
    same = hamming(first.hashes[i], second.hashes[j]) <= MOST_BITS
    same[same] = _alike(_Pictures(first), i[same], _Pictures(second), j[same])
    return [known[at] for at in np.flatnonzero(~same)], len(names) - len(known)


class _Pictures:
    """The hashed frames of episodes as 16 x 16 cells, read when they are asked for."""

    def __init__(self, prints: Prints):
        self._prints = prints
        self._cells: dict[int, UInt8[np.ndarray, "k h w 3"] | None] = {}

    def __getitem__(self, at: int) -> UInt8[np.ndarray, "k h w 3"] | None:
        if at not in self._cells:
            self._cells[at] = self._read(at)
        return self._cells[at]

    def _read(self, at: int) -> UInt8[np.ndarray, "k h w 3"] | None:
        try:
            return episode_cells(self._prints.root, self._prints.paths[at], int(self._prints.num_frames[at]))
        except DataError:  # it was there when it was hashed
            return None


def _alike(one: _Pictures, i: np.ndarray, other: _Pictures, j: np.ndarray) -> Bool[np.ndarray, " c"]:
    """Return which of the pairs of episodes (i, j) show the same."""
    same = np.zeros(len(i), bool)
    for at, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        first, second = one[a], other[b]
        if first is not None and second is not None:
            same[at] = same_picture(first, second[None])[0]
    return same
