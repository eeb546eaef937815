"""Evidence that contradicts itself: what rests on it is not asked.

With T = `data.partial_success_threshold`, an episode is contested if

    its label is `failure` and its partial success > 1 - T, and above a half: it looks like a success
    its label is `successful` and its partial success <= 1 - T (0 says nothing on a success: many sources put it there)
    its recorded progress at the last frame and its partial success are T or more apart

Rows about one frames file and one task are one episode, of which the evidence of all rows is put together; it is
contested too if

    their labels differ, or their partial successes or last recorded progress are T or more apart

Nothing is asked about it. Two episodes contradict each other if the one with the better label has less partial success
(a success without one has 1): they make no pair, see `pairs.levels`. Two whole episodes make none by recorded progress
where label or partial success denies what it says (`opposed`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from rfm.sampling.progress import SUCCESSFUL
from rfm.trajectories.catalog import Catalog

FAILURE = 0
MOST_NAMED = 3
_ROUNDING = 1e-6
_LABELS = ("failure", "suboptimal", "successful")


class Contested:
    """The trajectories of a catalog whose evidence contradicts itself."""

    def __init__(self, catalog: Catalog, threshold: float):
        least, apart = 1 - threshold, threshold - _ROUNDING
        episode = _episodes(catalog)
        label = _Range(np.where(catalog.quality >= 0, catalog.quality, np.nan), episode)
        partial, recorded = _Range(catalog.partial_success, episode), _Range(last_recorded(catalog), episode)
        failed = (label.low == FAILURE) & (partial.high > max(least, 0.5) + _ROUNDING)
        succeeded = (label.high == SUCCESSFUL) & (partial.low <= least + _ROUNDING)
        self._catalog = catalog
        self._by_label = failed | succeeded
        self._by_record = (recorded.high - partial.low >= apart) | (partial.high - recorded.low >= apart)
        self._by_rows = (label.low < label.high) | (partial.spread >= apart) | (recorded.spread >= apart)
        self.rows: Bool[np.ndarray, " n"] = self._by_label | self._by_record | self._by_rows
        """Which they are."""

    @property
    def notes(self) -> list[str]:
        """How many there are of each kind, the first of them, and why."""
        found = (
            (self._by_rows, "rows about one frames file and task"),
            (self._by_label & ~self._by_rows, "label and `partial_success`"),
            (self._by_record & ~self._by_label & ~self._by_rows, "last recorded `progress` and `partial_success`"),
        )
        return [self._note(np.flatnonzero(rows), what) for rows, what in found if rows.any()]

    def _note(self, rows: np.ndarray, what: str) -> str:
        first = ", ".join(described(self._catalog, int(row)) for row in rows[:MOST_NAMED])
        more = ", …" if len(rows) > MOST_NAMED else ""
        return f"{len(rows)} trajectories whose {what} contradict each other: {first}{more}"


class _Range:
    """The least and the greatest value that rows of one episode have; NaN where none has one."""

    def __init__(self, values: np.ndarray, episode: Int64[np.ndarray, " n"]):
        self.low, self.high = (np.full(int(episode.max(initial=-1)) + 1, np.nan) for _ in range(2))
        np.fmin.at(self.low, episode, values.astype(np.float64))
        np.fmax.at(self.high, episode, values.astype(np.float64))
        self.low, self.high = self.low[episode], self.high[episode]

    @property
    def spread(self) -> Float64[np.ndarray, " n"]:
        """How far apart the two are."""
        return np.asarray(self.high - self.low)


def _episodes(catalog: Catalog) -> Int64[np.ndarray, " n"]:
    """Return a number for each row that those about one frames file and one family of tasks share."""
    families = int(catalog.family_code.max(initial=0)) + 1
    key = catalog.file_code.astype(np.int64) * families + catalog.family_code
    return np.unique(key, return_inverse=True)[1].astype(np.int64)


def described(catalog: Catalog, row: int) -> str:
    """Return the name of a trajectory and what is known of its outcome."""
    recorded, partial = last_recorded(catalog.select([row]))[0], catalog.partial_success[row]
    says = [] if catalog.quality[row] < 0 else [_LABELS[catalog.quality[row]]]
    says += [] if np.isnan(recorded) else [f"last progress {recorded:.3g}"]
    says += [] if np.isnan(partial) else [f"partial success {partial:.3g}"]
    return f"{catalog.ids[row]} ({', '.join(says)})"


def stated_success(catalog: Catalog, rows: Int64[np.ndarray, " m"]) -> Float64[np.ndarray, " m"]:
    """Return the partial success of trajectories, 1 for a success without one; NaN where unknown."""
    partial = catalog.partial_success[rows].astype(np.float64)
    partial[(catalog.quality[rows] == SUCCESSFUL) & np.isnan(partial)] = 1
    return partial


def opposed(
    catalog: Catalog, better: Int64[np.ndarray, " m"], worse: Int64[np.ndarray, " m"]
) -> Bool[np.ndarray, " m"]:
    """Return of which pairs label or partial success says that the other whole episode did better."""
    label = catalog.quality
    by_label = (label[better] >= 0) & (label[better] < label[worse])
    return np.asarray(by_label | (stated_success(catalog, better) < stated_success(catalog, worse)))


def last_recorded(catalog: Catalog) -> Float32[np.ndarray, " n"]:
    """Return the recorded progress at the last frame of each trajectory; NaN where there is no record."""
    out = np.full(len(catalog), np.nan, np.float32)
    out[catalog.has_progress] = catalog.progress_values[catalog.progress_offsets[1:][catalog.has_progress] - 1]
    return out
