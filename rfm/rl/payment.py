"""What a step is paid, from the scores before and after it.

    potential  gamma * after - before: shaping that changes no optimal policy (Ng, Harada and Russell 1999), for use
               beside the environment's own reward. The first state's potential is its score; where the episode
               terminates the potential of its last state is 0, where it is truncated it stays
    delta      after - before: what was gained; an episode is paid its last score less its first
    absolute   after: the score itself, at every step
    terminal   the last score, at the end of the episode; 0 before

Between two scorings the last score is held: it is a function of what was seen, so that sums stay right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64

from rfm.errors import ConfigError, DataError
from rfm.scoring.counts import check_count

Mode = Literal["potential", "delta", "absolute", "terminal"]
OnError = Literal["raise", "hold"]
_ROUNDING = 1e-6
"""By which sums of probabilities may miss 0 and 1."""


@dataclass(frozen=True)
class Rules:
    """When scores are asked for, and what steps are paid by them."""

    every: int = 8
    """Steps between two scorings; the first and the last state of an episode are always scored."""
    mode: Mode = "delta"
    gamma: float = 0.99
    """The policy's own discount factor; for `potential`."""
    weight: float = 1.0
    """By which the model's part of the reward is multiplied."""
    success_threshold: float | None = None
    """Progress that ends the episode as a success; None: the model ends none."""
    success_steps: int = 2
    """Scorings in a row that must reach it."""
    keep_env_reward: bool = False
    """Whether the environment's reward is paid too."""
    on_error: OnError = "raise"
    """What a failed scoring does: `hold` keeps the score before it."""
    asynchronous: bool = False
    """Whether steps go on while the model works: a score counts from the step at which it is there."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ConfigError(f"`mode` must be one of {', '.join(get_args(Mode))}, but is {self.mode!r}")
        if self.on_error not in get_args(OnError):
            raise ConfigError(f"`on_error` must be one of {', '.join(get_args(OnError))}, but is {self.on_error!r}")
        for name in ("every", "success_steps"):
            check_count(name, getattr(self, name))
        for name in ("gamma", "weight", "success_threshold"):
            _check_number(name, getattr(self, name))
        if not 0 <= self.gamma <= 1:
            raise ConfigError(f"`gamma` must lie between 0 and 1, but is {self.gamma}")
        if self.success_threshold is not None and not 0 < self.success_threshold <= 1:
            raise ConfigError(
                f"`success_threshold` must be progress above 0 and at most 1, but is {self.success_threshold}"
            )

    def paid(self, before: float, after: float, *, terminated: bool, truncated: bool) -> float:
        """Return the model's part of a step's reward."""
        if self.mode == "potential":
            return self.weight * (self.gamma * (0.0 if terminated else after) - before)
        if self.mode == "delta":
            return self.weight * (after - before)
        if self.mode == "absolute":
            return self.weight * after
        return self.weight * after if terminated or truncated else 0.0


def _check_number(name: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value)):
        raise ConfigError(f"`{name}` must be a finite number, but is {value!r}")


def checked_scores(said: Sequence[float] | Float64[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
    """Return what a model said, in [0, 1]; DataError where one of it is no such number."""
    values = np.asarray(said, np.float64)
    wrong = ~((values >= -_ROUNDING) & (values <= 1 + _ROUNDING))  # so that NaN is wrong too
    if wrong.any():
        raise DataError(f"a score must be a number between 0 and 1, but the model said {values[wrong][0]}")
    return values.clip(0, 1)
