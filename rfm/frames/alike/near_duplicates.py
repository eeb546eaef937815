"""Groups of episodes that show the same: near by perceptual hash, and alike picture by picture.

The hash alone would join strangers: of 600 simulated episodes before one camera, 136 pairs are within 8 of 192 bits. So
hashes find candidates, and pictures of 16 x 16 cells decide (`same_picture`). Of copies as JPEG of quality 50, at half
the size, with noise of 10 levels or 5% brighter, 97% and more are found, and all of 81 real episodes of 64 x 64; three
pairs of different episodes are taken for the same, and their scenes are. What was cropped or mirrored is not found
(`benchmarks/near_duplicates.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int64, UInt8, UInt64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rfm.frames.alike.perceptual_hash import LUMA, hamming, hash_episodes, hashed_indices, near_duplicate_groups
from rfm.frames.reader import read_frames
from rfm.frames.resize import resize_frames

MOST_BITS = 8
"""Differing bits of 192 up to which two episodes are compared by their pictures."""
MOST_LEVELS, MOST_COLOUR, MOST_SHIFT = 12, 20, 26
"""Levels of 255 that episodes which show the same differ by at most, in the worst place of three frames: in grey, in
colour, and in brightness as a whole."""

_CELLS = 16
_COARSE = 4
"""Blocks of cells in a row, of which `same_pictures` compares the means first."""
_ROUNDING = 0.1
"""Levels that means of 32-bit numbers may be off by, and much more."""


class NearDuplicates(NamedTuple):
    """What was found among n episodes."""

    group: Int64[np.ndarray, " n"]
    """Equal for episodes that show the same, over others in between too; -1: like no other."""
    unreadable: dict[int, str]
    """Episodes that could not be compared, with the reason."""


def near_duplicates(
    root: Path, paths: Sequence[str], num_frames: Int[np.ndarray, " n"], max_distance: int = MOST_BITS
) -> NearDuplicates:
    """Compare the episodes in the frame files `paths` under `root`.

    `max_distance` is in bits of 192. Costs reading three frames each, under a progress bar (1 ms from stored frames of
    224 x 224, 4 ms from JPEG, 20 to 40 ms from compressed ones), and once more those of candidates.
    """
    hashes, unreadable = hash_episodes(root, paths, num_frames)
    readable = np.setdiff1d(np.arange(len(paths)), list(unreadable))
    candidates = near_duplicate_groups(hashes[readable], max_distance)
    group = np.full(len(paths), -1, np.int64)
    by_candidate = readable[np.argsort(candidates, kind="stable")]
    found = 0
    for members in np.split(by_candidate, np.cumsum(np.bincount(candidates))[:-1]):
        if len(members) > 1:
            cells = [episode_cells(root, paths[at], int(num_frames[at])) for at in members.tolist()]
            label = _alike_groups(hashes[members], np.stack(cells), max_distance)
            together = np.bincount(label)[label] > 1
            group[members[together]] = found + label[together]
            found += len(members)
    return NearDuplicates(group, unreadable)


def episode_cells(root: Path, path: str, num_frames: int) -> UInt8[np.ndarray, "k h w 3"]:
    """The hashed frames of an episode as few cells; DataError where they cannot be read."""
    return resize_frames(read_frames(root, path, hashed_indices(num_frames)), _CELLS, _CELLS)


def _alike_groups(
    hashes: UInt64[np.ndarray, "m k"], cells: UInt8[np.ndarray, "m k h w 3"], max_distance: int
) -> Int64[np.ndarray, " m"]:
    """The group of each candidate, by comparing every two of them that are near."""
    pairs = []
    for at in range(len(hashes) - 1):
        near = at + 1 + np.flatnonzero(hamming(hashes[at], hashes[at + 1 :]) <= max_distance)
        near = near[same_picture(cells[at], cells[near])]
        pairs.append(np.stack([np.full(len(near), at), near]))
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(hashes), len(hashes)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def same_pictures(cells: UInt8[np.ndarray, "n k h w 3"]) -> Bool[np.ndarray, "n n"]:
    """Which episodes show the same as which others, by `same_picture`.

    Only those are compared cell by cell whose grey differs by no more in blocks of cells either: a mean exceeds
    no limit that all of its values keep.
    """
    n, k, h, w, _ = cells.shape
    coarse = (cells @ LUMA).reshape(n, k, _COARSE, h // _COARSE, _COARSE, w // _COARSE).mean(axis=(3, 5))
    coarse = (coarse - coarse.mean(axis=(2, 3), keepdims=True)).reshape(n, -1)
    alike = np.zeros((n, n), bool)
    for at in range(n):
        near = np.flatnonzero((np.abs(coarse - coarse[at]) <= MOST_LEVELS + _ROUNDING).all(axis=1))
        alike[at, near] = same_picture(cells[at], cells[near])
    return alike


def same_picture(one: UInt8[np.ndarray, "k h w 3"], others: UInt8[np.ndarray, "m k h w 3"]) -> Bool[np.ndarray, " m"]:
    """Which of the other episodes' cells show the same as those of one, in every frame.

    A channel may be brighter or darker as a whole by `MOST_SHIFT`. Beyond that no cell differs by more than
    `MOST_LEVELS` in grey, nor 2 x 2 cells together by more than `MOST_COLOUR` in a channel: colour is stored coarsely.
    """
    difference = others.astype(np.float32) - one
    shift = difference.mean(axis=(2, 3), keepdims=True)
    rest = difference - shift
    m, k, h, w, _ = rest.shape
    blocks = rest.reshape(m, k, h // 2, 2, w // 2, 2, 3).mean(axis=(3, 5))
    limits = ((shift, MOST_SHIFT), (rest @ LUMA, MOST_LEVELS), (blocks, MOST_COLOUR))
    within = [(np.abs(values) <= most).all(axis=tuple(range(1, values.ndim))) for values, most in limits]
    return np.logical_and.reduce(within)
