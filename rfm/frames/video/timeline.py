"""Which frames of a recording are kept: evenly spaced in number where they come at a steady rate, else evenly in time.

Progress by position is progress by time only if equal steps of one are equal steps of the other. Recordings with
pauses, dropped or duplicated frames break that, so a frame is kept once for each moment at which it is shown, as a
player shows it: until the next one comes. Timestamps that are missing, repeat or go backwards say nothing about time:
then frames count as evenly spaced, and `note` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from rfm.frames.spacing import evenly_spaced

_STEADY = 0.5
"""Steps that a frame of a steady recording may lie beside its even place: then no other frame is nearer to it."""


@dataclass(frozen=True)
class Choice:
    """The frames to keep, by their place in the recording; a frame that stands still repeats."""

    indices: Int64[np.ndarray, "t"]
    times: Float64[np.ndarray, "t"] | None
    """When each is shown, as a share of the recording from its first (0) to its last frame (1); None where unknown."""
    note: str = ""
    """What was taken for granted, or is worth a look."""


def choose(stamps: Sequence[int | None], most: int) -> Choice:
    """At most `most` frames of those with these timestamps, of any unit, in the order they are shown."""
    indices = evenly_spaced(len(stamps), most)
    shares, note = _shares(stamps)
    if shares is None:
        return Choice(indices, None, note)
    even = np.linspace(0, 1, len(shares))
    if np.abs(shares - even).max() * (len(shares) - 1) <= _STEADY:
        return Choice(indices, shares[indices])
    count = min(most, max(len(shares), 1 + round(1 / float(np.median(np.diff(shares))))))
    moments = np.linspace(0, 1, count) if count > 1 else np.ones(1)
    return Choice(_shown_at_even_moments(stamps, count), moments, _gap(shares))


def _shown_at_even_moments(stamps: Sequence[int | None], count: int) -> Int64[np.ndarray, "t"]:
    """Return what is shown at `count` even moments, the last one included; exact, since many begin with a frame."""
    first, *_ = given = [int(stamp) for stamp in stamps if stamp is not None]
    since = [stamp - first for stamp in given]
    steps = max(count - 1, 1)
    moments = [at * since[-1] // steps for at in range(steps + 1)][-count:]
    return np.searchsorted(np.array(since), np.array(moments), side="right") - 1


def _shares(stamps: Sequence[int | None]) -> tuple[Float64[np.ndarray, "n"] | None, str]:
    """Each timestamp as a share of the way from the first to the last, or None and why there are none."""
    missing = sum(stamp is None for stamp in stamps)
    if missing:
        return None, f"{missing} of {len(stamps)} frames have no timestamp: they are taken as evenly spaced"
    times = np.array(stamps, dtype=np.float64)
    times -= times[:1]
    unordered = int((np.diff(times) <= 0).sum())
    if unordered:
        return None, f"{unordered} timestamps repeat or go backwards: frames are taken as evenly spaced"
    if len(times) < 2:
        return None, ""
    return times / times[-1], ""


def _gap(shares: Float64[np.ndarray, "n"]) -> str:
    """What to say where one frame stands for most of the recording."""
    steps = np.diff(shares)
    longest = int(steps.argmax())
    if steps[longest] <= 0.5:
        return ""
    return f"frame {longest} stands still for {steps[longest]:.0%} of the time: is there a gap in the recording?"
