"""Ragged arrays: values of many lists one after the other, cut by offsets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64


def take_segments(
    offsets: Int64[np.ndarray, "n+1"], values: Float32[np.ndarray, "p"], at: Int64[np.ndarray, "k"]
) -> tuple[Int64[np.ndarray, "k+1"], Float32[np.ndarray, "q"]]:
    """The lists with numbers `at`, in that order."""
    lengths = np.diff(offsets)[at]
    taken = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    source = np.arange(taken[-1]) + np.repeat(offsets[at] - taken[:-1], lengths)
    return taken, values[source]
