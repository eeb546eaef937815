"""Which frames are shown or kept where not all can be: the one rounding rule of ingest, training and use.

Places on a path are evenly spaced, its first and last one included, and each takes the frame nearest to it; of two
equally near ones the later. Whoever shows a clip chooses by this rule, so a model that is used sees the frames that it
would have seen in training.

A clip that grows shows other frames at every step, once it has more than can be shown. `nested` is for curves of long
clips: frames stay the same until there are too many, and then every second one goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64, Int32, Int64

_EPSILON = 1e-9
"""Lifts x.5 that came out as x.4999…, so that places one apart always take different frames."""


def nearest(places: Float64[np.ndarray, "..."]) -> Int32[np.ndarray, "..."]:
    """The frame number nearest to each place, of two the later."""
    return np.floor(places + (0.5 + _EPSILON)).astype(np.int32)


def evenly_spaced(count: int, most: int) -> Int64[np.ndarray, "t"]:
    """All of `count` frames, or `most` of them: the first, the last, and between them the nearest to equal steps.

    One alone is the last: the state that was reached.
    """
    if count <= most:
        return np.arange(count)
    if most == 1:
        return np.array([count - 1])
    return nearest(np.arange(most) * ((count - 1) / (most - 1))).astype(np.int64)


def nested(count: int, most: int) -> Int64[np.ndarray, "t"]:
    """All of `count` frames, or every second, fourth, … of them from the first on, and the last: at most `most` >= 2.

    Clips that grow share all their frames but the last until the next step is taken; the last steps may be shorter.
    """
    step = 1
    while -(-(count - 1) // step) + 1 > most:
        step *= 2
    places = np.arange(0, count, step)
    return places if places[-1] == count - 1 else np.append(places, count - 1)


EVENLY, NESTED = "evenly_spaced", "nested"
CHOICES: Mapping[str, Callable[[int, int], Int64[np.ndarray, "t"]]] = MappingProxyType(
    {EVENLY: evenly_spaced, NESTED: nested}
)
"""By name, as a checkpoint records how its training chose."""


def shown_of_prefixes(count: int, most: int, points: int | None = None, choice: str = EVENLY) -> Iterator[list[int]]:
    """The frames shown of every prefix of `count` frames, or of `points` of them, whose ends are evenly spaced."""
    for end in evenly_spaced(count, points or count).tolist():
        yield CHOICES[choice](end + 1, most).tolist()


def shown_of_pair(first: int, second: int, most: int) -> tuple[list[int], list[int]]:
    """The frames shown of two clips of so many frames that are compared: equally many of both."""
    shown = min(first, second, most)
    return evenly_spaced(first, shown).tolist(), evenly_spaced(second, shown).tolist()
