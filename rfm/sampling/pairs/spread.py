"""How far apart the least and the most of a run of columns are, for any run of any row in constant time.

Minima and maxima of all runs of 1, 2, 4 … columns are tabulated once; any run is the union of two of those, which may
overlap (a sparse table, Bender and Farach-Colton 2000, "The LCA problem revisited").
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int


class Spread:
    """How far the most of `high` lies above the least of `low`, over runs of columns of any row.

    Runs that are asked for must hold no NaN; columns that don't count are -inf in `high` and inf in `low`.
    """

    def __init__(self, high: Float32[np.ndarray, "m G"], low: Float32[np.ndarray, "m G"]):
        self._low, self._high = [low], [high]
        width, columns = 1, low.shape[1]
        while 2 * width <= columns:
            low, high = self._low[-1], self._high[-1]
            self._low.append(np.minimum(low[:, :-width], low[:, width:]))
            self._high.append(np.maximum(high[:, :-width], high[:, width:]))
            width *= 2

    def of(
        self, row: Int[np.ndarray, " k"], first: Int[np.ndarray, " k"], past: Int[np.ndarray, " k"]
    ) -> Float32[np.ndarray, " k"]:
        """Return it for columns `first` to `past` - 1 of each row; -1 of no column."""
        out = np.full(len(row), -1, np.float32)
        size = past.astype(np.int64) - first
        level = np.frexp(np.maximum(size, 1))[1] - 1  # the largest power of two that is no longer than the run
        for number in np.unique(level[size > 0]):
            at = np.flatnonzero((level == number) & (size > 0))
            begin, end, which = first[at], past[at] - 2**number, row[at]
            low, high = self._low[number], self._high[number]
            most = np.maximum(high[which, begin], high[which, end])
            out[at] = most - np.minimum(low[which, begin], low[which, end])
        return out
