"""Groups of episodes that show the same: near by perceptual hash, and alike picture by picture.

The hash alone would join strangers: of 600 simulated episodes before one camera, 85 have another within 8 of 192 bits,
23 of them in one chain; pictures confirm one pair. So hashes find candidates (a JPEG of quality 75 or half the size is
at most 8 bits away), and pictures decide: 16 x 16 cells that differ by at most 16 grey levels (copies down to JPEG
quality 50 by at most 9; 99% of different episodes with near hashes by more than 30).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int64, UInt8, UInt64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rfm.frames.perceptual_hash import hamming, hash_episodes, hashed_indices, near_duplicate_groups
from rfm.frames.reader import read_frames
from rfm.frames.resize import resize_frames

MOST_BITS = 8
"""Differing bits of 192 up to which two episodes are compared by their pictures."""
MOST_LEVELS = 16
"""Grey levels, in the worst cell of three frames, up to which two episodes show the same."""

_CELLS = 16


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


def same_picture(one: UInt8[np.ndarray, "k h w 3"], others: UInt8[np.ndarray, "m k h w 3"]) -> Bool[np.ndarray, " m"]:
    """Which of the other episodes' cells show the same as those of one: no cell differs by more than `MOST_LEVELS`."""
    return (np.abs(others.astype(np.int16) - one) <= MOST_LEVELS).all(axis=(1, 2, 3, 4))
