"""How often clips end at a progress of 0 and of 100: as often as in any tenth of the scale.

Ends that are spread evenly over progress hit the one frame of an episode at 100 as rarely as any other frame, while
whole episodes, which use asks about, mostly end there. So each extreme has a share of the draws of the episodes that
have it, such that over all clips with right instructions 0, 100 and ten tenths would be equally frequent:

    share = (rows / 12 - rows that answer it anyway) / rows that can answer it and something else

with 11 in the place of 12 where the data lacks one of the two (by time nothing is at 0), no episode giving more than
MOST of its draws to one, so that it still shows its way there, nor less than LEAST.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64

LEAST, MOST = 0.02, 1 / 3
_BOTTOM, _TOP = np.float32(0.005), np.float32(0.995)


class Extremes(NamedTuple):
    """Shares of the draws of an episode that end at a progress of 0 and of 100, where it has both and more between."""

    bottom: float
    top: float


class Reach(NamedTuple):
    """Of the rows of a strategy, how much weight each episode has, and which ends are open to it."""

    weight: Float64[np.ndarray, " n"]
    """Sums to the strategy's share of the mixture."""
    bottom: Bool[np.ndarray, " n"]
    between: Bool[np.ndarray, " n"]
    top: Bool[np.ndarray, " n"]


def at_bottom(progress: Float32[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Return where the answer is 0."""
    return progress < _BOTTOM


def at_top(progress: Float32[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Return where the answer is 100."""
    return progress >= _TOP


def balanced(strategies: Iterable[Reach]) -> Extremes:
    """Return the shares that make both extremes as frequent as a tenth of the scale over these strategies."""
    rows = bottom_anyway = bottom_free = top_anyway = top_free = 0.0
    for one in strategies:
        rows += one.weight.sum()
        bottom_anyway += one.weight[one.bottom & ~one.between & ~one.top].sum()
        top_anyway += one.weight[one.top & ~one.between & ~one.bottom].sum()
        bottom_free += one.weight[one.bottom & (one.between | one.top)].sum()
        top_free += one.weight[one.top & (one.between | one.bottom)].sum()
    wanted = rows / (10 + (bottom_anyway + bottom_free > 0) + (top_anyway + top_free > 0))
    return Extremes(_share(wanted - bottom_anyway, bottom_free), _share(wanted - top_anyway, top_free))


def _share(wanted: float, free: float) -> float:
    return float(np.clip(wanted / free, LEAST, MOST)) if free > 0 else 0.0
