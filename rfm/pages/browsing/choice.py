"""Which rows a page shows of more than it can hold.

First those that something was found about, some of each remark, then, with a model's answers, its worst, then an even
sample with a fixed seed; in the order of the dataset. Rows are chosen by position, so the same dataset gives the same
page.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from rfm.pages.browsing.shelf import Remark

SEED = 0
EXAMPLES = 20
"""Rows shown of each remark, at most."""
_WORST_SHARE = 0.5
"""Of the room, what a model's worst answers may take."""


def chosen_rows(
    count: int, most: int, remarks: Sequence[Remark], errors: Sequence[float] | None
) -> Int64[np.ndarray, " k"]:
    """Return the rows to show of `count`, ascending; `errors` are a model's, row by row."""
    if count <= most:
        return np.arange(count)
    shown = np.zeros(count, bool)
    for remark in remarks:
        if remark.rows is not None:
            shown[np.flatnonzero(remark.rows)[: min(EXAMPLES, most - int(shown.sum()))]] = True
    if errors is not None:
        room = int((most - shown.sum()) * _WORST_SHARE)
        shown[np.argsort(-np.asarray(errors), kind="stable")[:room]] = True
    rest = np.flatnonzero(~shown)
    room = max(most - int(shown.sum()), 0)
    shown[np.random.default_rng(SEED).choice(rest, min(room, len(rest)), replace=False)] = True
    return np.flatnonzero(shown)
