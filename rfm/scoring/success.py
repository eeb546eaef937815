"""When a robot counts as having succeeded: progress that stays up, with hysteresis.

Success begins with the `steps`-th value in a row that is at least `threshold`, and ends with the first one below
`release`: a single high answer does not make a success, and one that wavers about the threshold does not end it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from rfm.errors import ConfigError
from rfm.scoring.counts import check_count


class Success(NamedTuple):
    """Whether it is a success by now, and how many of the last values reached the threshold."""

    now: bool = False
    streak: int = 0


@dataclass(frozen=True)
class SuccessRule:
    """Progress in [0, 1] from which success begins, below which it ends, and values in a row that it takes."""

    threshold: float = 0.9
    release: float = 0.8
    steps: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.release <= self.threshold <= 1:
            raise ConfigError(
                "`release` and `threshold` must be progress in [0, 1], the threshold not below the release, but are "
                f"{self.release} and {self.threshold}"
            )
        check_count("steps", self.steps)

    def at_once(self) -> SuccessRule:
        """Return the same for a single value, which has none before it."""
        return replace(self, steps=1)

    def after(self, before: Success, progress: float) -> Success:
        """Return what holds after one more value."""
        streak = before.streak + 1 if progress >= self.threshold else 0
        return Success(streak >= self.steps or (before.now and progress >= self.release), streak)

    def along(self, progress: Iterable[float]) -> Bool[np.ndarray, " p"]:
        """Return whether it is a success at each of the values."""
        state, found = Success(), []
        for value in progress:
            state = self.after(state, float(value))
            found.append(state.now)
        return np.array(found, bool)

    def along_curve(self, progress: Sequence[float] | Float64[np.ndarray, " p"]) -> Bool[np.ndarray, " p"]:
        """Return the same for all values of a curve; one of a single point tells it at once."""
        return (self if len(progress) > 1 else self.at_once()).along(progress)


DEFAULT = SuccessRule()
