"""Lists of different lengths as two arrays, and what can be said of all of them at once.

Shape legend: n lists, v values in all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from rfm.errors import DataError


@dataclass(frozen=True)
class Ragged:
    """List i is `values[offsets[i]:offsets[i + 1]]`; a null list is an empty one."""

    values: np.ndarray
    """[v], whole numbers, or floats with NaN for null."""
    offsets: Int64[np.ndarray, " n+1"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, " n"]:
        """The number of values of each list."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> Int64[np.ndarray, " v"]:
        """The list that each value belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def place(self) -> Int64[np.ndarray, " v"]:
        """Each value's place in its list."""
        return np.arange(len(self.values)) - np.repeat(self.offsets[:-1], self.lengths)

    def take(self, rows: Int64[np.ndarray, " k"]) -> Ragged:
        """Return the lists `rows`, in that order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        source = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Ragged(self.values[source], offsets)

    def at(self, place: int, missing: float = -1) -> np.ndarray:
        """Return the value at `place` (-1: the last) of each list; `missing` where it is shorter."""
        long_enough = self.lengths >= (place + 1 if place >= 0 else -place)
        index = (self.offsets[:-1] if place >= 0 else self.offsets[1:]) + place
        out = np.full(len(self), missing, self.values.dtype)
        out[long_enough] = self.values[index[long_enough]]
        return out

    def lowest(self) -> Int64[np.ndarray, " n"]:
        """Return the least value of each list; -1 where it is empty."""
        return self._reduce(np.minimum)

    def highest(self) -> Int64[np.ndarray, " n"]:
        """Return the greatest value of each list; -1 where it is empty."""
        return self._reduce(np.maximum)

    def distinct(self) -> Int64[np.ndarray, " n"]:
        """Return how many different values each list has; by one sort of all values."""
        if not len(self.values):
            return np.zeros(len(self), np.int64)
        low = int(self.values.min())
        span = int(self.values.max()) - low + 1
        key = np.sort(self.owner * span + (self.values - low))
        new = np.concatenate([[True], key[1:] != key[:-1]])
        return np.bincount(key[new] // span, minlength=len(self))

    def any(self, true: Bool[np.ndarray, " v"]) -> Bool[np.ndarray, " n"]:
        """Return for each list whether one of its values is marked `true`."""
        return np.bincount(self.owner[true], minlength=len(self)) > 0

    def _reduce(self, ufunc: np.ufunc) -> Int64[np.ndarray, " n"]:
        filled = np.flatnonzero(self.lengths > 0)
        out = np.full(len(self), -1, self.values.dtype)
        if len(filled):
            out[filled] = ufunc.reduceat(self.values, self.offsets[filled])
        return out


def read_ragged(column: pa.ChunkedArray, name: str, kind: pa.DataType) -> Ragged:
    """Return a list column with its values cast to `kind`; null values are -1, or NaN among floats.

    Raises:
        DataError: the column holds no lists of numbers.

    """
    try:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
        values = pc.list_flatten(column).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"`{name}` must hold lists of numbers, but is {column.type}: {error}") from error
    null = np.nan if pa.types.is_floating(kind) else -1
    return Ragged(pc.fill_null(values, null).to_numpy(), np.concatenate([[0], np.cumsum(lengths)]))
