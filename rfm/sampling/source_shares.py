"""Drawing by source and then by trajectory, folded into one whole number a trajectory.

So a draw stays one binary search, whatever `data.source_weights` says (`rfm.configs.source_weights`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from rfm.configs.source_weights import weights_by_source

TOTAL = 2.0**50
"""What the weights of all members add up to, nearly: below the 2**52 that tickets are drawn from."""


def source_shares(value: Any, sources: Sequence[str], sizes: Int64[np.ndarray, " s"]) -> Float64[np.ndarray, " s"]:
    """Return the weight of each source by `data.source_weights`; 0 where it has no trajectories to draw (`sizes`).

    Raises:
        ConfigError: a mapping lacks a source.

    """
    there = sizes > 0
    if isinstance(value, Mapping):
        return np.where(there, weights_by_source(value, sources), 0.0)
    if value == "uniform":
        return there.astype(np.float64)
    temperature = 1.0 if value == "proportional" else float(value)
    return np.where(there, np.maximum(sizes, 1) ** (1 / temperature), 0.0)


def shared_weights(
    shares: Float64[np.ndarray, " s"],
    source: Int[np.ndarray, " n"],
    members: Bool[np.ndarray, " n"],
    weights: Int64[np.ndarray, " n"] | None,
) -> Int64[np.ndarray, " n"]:
    """Return weights in which each source's members add up to its share and keep their proportion to each other."""
    own = members.astype(np.float64) if weights is None else np.where(members, weights, 0).astype(np.float64)
    held = np.bincount(source, own, minlength=len(shares))
    shares = np.where(held > 0, shares, 0)
    factor = TOTAL * shares / max(shares.sum(), 1e-300) / np.maximum(held, 1)
    return np.where(own > 0, np.maximum(np.rint(own * factor[source]), 1), 0).astype(np.int64)
