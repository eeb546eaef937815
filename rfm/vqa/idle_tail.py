"""Success cut-offs from the frames: at which share of an episode's time nothing moves any more.

Many recordings go on after the task is done, so time alone says 80% where the robot has long finished. For each source
up to EPISODES successful episodes without recorded progress are looked at (chosen by a hash of the seed and their ids),
in up to FRAMES frames each, as grey pictures of SIZE x SIZE. The mean absolute difference of neighbours lies between
that of the quietest two (the camera's noise) and the 90th percentile; an episode is idle from the frame after which it
stays in the lowest tenth of that range. One whose quietest moment moves half as much as its liveliest is never idle.
The source's cut-off is the median share. Generation reads frames here and nowhere else, and only where
`data.success_cutoff` is `idle`.

A median, since episodes end differently: in half of them the robot still moves a little after the cut-off, and their
progress is 1 by then. Cost: one read of the chosen frames of each episode looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64, UInt8

from rfm.console import tracked
from rfm.errors import DataError
from rfm.frames.reader import read_frames, resize_frames
from rfm.sampling.progress import SUCCESSFUL
from rfm.sampling.random import RowRandom, stream_key
from rfm.trajectories.catalog import Catalog

logger = logging.getLogger(__name__)

EPISODES, FRAMES, SIZE = 64, 64, 32
STILL = 0.2
"""Mean grey levels; an episode whose frames differ by less all along tells nothing."""
FEWEST_FRAMES = 8
"""Shorter episodes are not looked at: their shares would be coarse."""


def find_cutoffs(catalog: Catalog, seed: int) -> dict[str, float]:
    """Return the share of time at which the task is done, in (0, 1], for each source where episodes tell.

    Raises:
        DataError: no episode of a source that was looked at can be read.

    """
    chosen = _chosen(catalog, seed)
    shares: dict[str, list[float]] = {source: [] for source in catalog.sources.to_pylist()}
    unread: dict[str, list[str]] = {}
    for at in tracked(chosen.tolist(), "look for idle tails", len(chosen)):
        source = catalog.sources[int(catalog.source_code[at])].as_py()
        try:
            share = _share(catalog, at)
        except DataError as error:
            unread.setdefault(source, []).append(f"{catalog.ids[at]}: {error}")
            continue
        if share is not None:
            shares[source].append(share)
    _check(unread, shares)
    return {source: _report(source, found) for source, found in shares.items() if found}


def idle_from(frames: UInt8[np.ndarray, "t h w 3"]) -> int | None:
    """Return the first of the frames after which nothing moves, the last where it never stops; None: it never moves."""
    small = resize_frames(frames, SIZE, SIZE) if min(frames.shape[1:3]) > SIZE else frames
    change = _changes(small.mean(axis=3, dtype=np.float32))
    low, high = float(change.min()), float(np.quantile(change, 0.9))
    if high < STILL:
        return None
    if low > high / 2:
        return len(frames) - 1
    return int(np.flatnonzero(change > low + 0.1 * (high - low))[-1]) + 1


def _changes(grey: Float32[np.ndarray, "t h w"]) -> Float32[np.ndarray, " t-1"]:
    return np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))


def _share(catalog: Catalog, at: int) -> float | None:
    count = int(catalog.num_frames[at])
    shown = np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(np.int64))
    idle = idle_from(read_frames(catalog.root, catalog.frames_path[at].as_py(), shown))
    return None if idle is None else (int(shown[idle]) + 1) / count


def _chosen(catalog: Catalog, seed: int) -> Int64[np.ndarray, " k"]:
    """Return the episodes to look at, in the order of the catalog so that files are read in turn."""
    fit = (catalog.quality == SUCCESSFUL) & ~catalog.has_progress & (catalog.num_frames >= FEWEST_FRAMES)
    members = np.flatnonzero(fit)
    names = np.array([stream_key(seed, f"idle/{name}") for name in _ids(catalog.ids, members)], np.uint64)
    words = RowRandom(seed, names).words("idle tail")
    order = members[np.lexsort((words, catalog.source_code[members]))]
    source = catalog.source_code[order]
    place = np.arange(len(order)) - np.searchsorted(source, source)
    return np.sort(order[place < EPISODES])


def _ids(ids: pa.StringArray, members: Int64[np.ndarray, " k"]) -> Iterable[str]:
    return ids.take(pa.array(members)).to_pylist()


def _check(unread: dict[str, list[str]], shares: dict[str, list[float]]) -> None:
    for source, reasons in unread.items():
        if not shares[source]:
            raise DataError(
                f"`data.success_cutoff`=idle must read frames of source {source}, but of {len(reasons)} episodes none "
                f"can be read, the first: {reasons[0]}; mend them, or name shares in data.dataset_success_cutoff_file"
            )
        logger.warning("%d episodes of %s can't be read, the first: %s", len(reasons), source, reasons[0])


def _report(source: str, found: list[float]) -> float:
    share = round(float(np.median(found)), 4)
    logger.info("success cut-off of %s: %.4g of the time, from %d episodes", source, share, len(found))
    return share
