"""Episodes that look alike on one side: none that is held out shows what a training one shows.

Seeds differ, but two can draw almost the same scene for the same policy: of the 150 held-out episodes of the bundled
videos, two (`plate_slide_side_032` and `_035`, objects within 2 cm of those of `_005` and `_011`) did.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rfm.console import tracked
from rfm.frames.alike.near_duplicates import episode_cells, same_pictures
from rfm.ingest.metaworld.bundle import Row
from rfm.ingest.metaworld.slots import EVAL, TRAIN

logger = logging.getLogger(__name__)


def keep_lookalikes_together(output: Path, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a bundle with `data_source` changed where a held-out episode looks like a training one.

    Reads three frames of every video, 10 ms each, and compares all with all (3,000 in seconds).
    """
    watched = tracked(rows, "compare episodes", len(rows))
    cells = np.stack([episode_cells(output, row["path"], row["num_frames"]) for row in watched])
    return exchange_sides(rows, same_pictures(cells))


def exchange_sides(rows: Sequence[Row], alike: Bool[np.ndarray, "n n"]) -> list[Row]:
    """Let a held-out episode that looks like a training one change places with another training one.

    That is the first of its instruction and quality that looks like no other, so that all counts stay; where there is
    none, a warning names the episode.
    """
    group = connected_components(coo_array(alike), directed=False)[1]
    alone = np.bincount(group)[group] == 1
    sides = np.array([row["data_source"] for row in rows])
    kinds = [(row["task"], row["quality_label"]) for row in rows]
    seen = np.isin(group, group[sides == TRAIN])  # since it looks like one or is one
    for at in np.flatnonzero(seen & (sides == EVAL)).tolist():
        like = np.array([kind == kinds[at] for kind in kinds])
        others = np.flatnonzero(alone & (sides == TRAIN) & like)
        if len(others):
            sides[at], sides[others[0]] = TRAIN, EVAL
        else:
            logger.warning("%s is held out, but looks like a training episode, and none can replace it", rows[at]["id"])
    return [{**row, "data_source": side} for row, side in zip(rows, sides.tolist(), strict=True)]
