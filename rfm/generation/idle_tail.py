"""Success cut-offs from the frames: at which share of an episode's time nothing moves any more.

Many recordings go on after the task is done, so time alone says 80% where the robot has long finished. For each source
up to EPISODES successful episodes without recorded progress are looked at (chosen by a hash of the seed and their ids),
as `rfm.frames.idle_tail` does. The source's cut-off is the median share. Generation reads frames here and nowhere else:
where `data.success_cutoff` is `idle`, and of FEW episodes to suggest that where it would matter.

A median, since episodes end differently: in half of them the robot still moves a little after the cut-off, and their
progress is 1 by then. Cost: one read of the chosen frames of each episode looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from rfm.console import tracked
from rfm.errors import DataError
from rfm.frames.idle_tail import FEWEST_FRAMES, done_share, looked_at
from rfm.frames.reader import read_frames
from rfm.sampling.progress import SUCCESSFUL
from rfm.sampling.random import RowRandom, stream_key
from rfm.trajectories.catalog import Catalog

logger = logging.getLogger(__name__)

EPISODES = 64
FEW, SOURCES = 3, 8
"""Episodes of a source, and sources, that are looked at only to suggest a cut-off."""
IDLE_BEFORE = 0.9
"""Share of the time from which on nothing moves in an episode whose tail is idle."""


def find_cutoffs(catalog: Catalog, seed: int) -> dict[str, float]:
    """Return the share of time at which the task is done, in (0, 1], for each source where episodes tell.

    Raises:
        DataError: no episode of a source that was looked at can be read.

    """
    chosen = _chosen(catalog, seed, EPISODES)
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
    for source in (source for source, found in shares.items() if not found):
        logger.warning(
            "data.success_cutoff=idle finds no cut-off for %s: it has no successful episode without recorded progress "
            "in which something moves", source,
        )  # fmt: skip
    return {source: _report(source, found) for source, found in shares.items() if found}


def suggest_cutoffs(catalog: Catalog, cutoffs: Mapping[str, float], seed: int) -> None:
    """Warn of sources without a cut-off whose progress is time, though their episodes go on after nothing moves.

    Episodes that can't be read say nothing here; whoever needs their frames will say so.
    """
    chosen = _chosen(catalog, seed, FEW)
    for code in np.unique(catalog.source_code[chosen])[:SOURCES]:
        source = catalog.sources[int(code)].as_py()
        shares = [] if source in cutoffs else _readable_shares(catalog, chosen[catalog.source_code[chosen] == code])
        if shares and np.median(shares) < IDLE_BEFORE:
            logger.warning(
                "data source %s: in %d of %d successful episodes that were looked at nothing moves in the last tenth "
                "or more of the time (half of them are still from %.0f%% on), but their progress is time and rises to "
                "the end; if the task is done by then, add --config_overrides data.success_cutoff=idle",
                source, sum(share < IDLE_BEFORE for share in shares), len(shares), 100 * float(np.median(shares)),
            )  # fmt: skip


def _readable_shares(catalog: Catalog, chosen: Int64[np.ndarray, " k"]) -> list[float]:
    shares = []
    for at in chosen.tolist():
        with suppress(DataError):
            shares.append(_share(catalog, at))
    return [share for share in shares if share is not None]


def _share(catalog: Catalog, at: int) -> float | None:
    count = int(catalog.num_frames[at])
    shown = looked_at(count)
    return done_share(read_frames(catalog.root, catalog.frames_path[at].as_py(), shown), shown, count)


def _chosen(catalog: Catalog, seed: int, most: int) -> Int64[np.ndarray, " k"]:
    """Return at most `most` episodes a source, in the order of the catalog so that files are read in turn."""
    fit = (catalog.quality == SUCCESSFUL) & ~catalog.has_progress & (catalog.num_frames >= FEWEST_FRAMES)
    members = np.flatnonzero(fit)
    names = np.array([stream_key(seed, f"idle/{name}") for name in _ids(catalog.ids, members)], np.uint64)
    words = RowRandom(seed, names).words("idle tail")
    order = members[np.lexsort((words, catalog.source_code[members]))]
    source = catalog.source_code[order]
    place = np.arange(len(order)) - np.searchsorted(source, source)
    return np.sort(order[place < most])


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
