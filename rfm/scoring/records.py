"""What the reward model says: small frozen records, no torch.

Progress lies in [0, 1]. What is known of it is the probability of every answer that the model can give; expectation,
median and quantiles are read from that. Shape legend: p points of a curve, a answers (101, or 5 for models trained on
levels).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.errors import ConfigError
from rfm.inference.answering.distribution import Distribution


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a clip got at its last frame."""

    task: str
    expected: float
    """The mean of the distribution: of all numbers the one of least expected squared error."""
    median: float
    """What `rfm evaluate --decoding scored` answers, over 100."""
    success: bool
    """Whether the robot counts as having succeeded, see `rfm.scoring.success`; of one clip alone: by one value."""
    frame: int
    """The frame judged: the last of the clip, by its number in the recording, from 0."""
    shown: tuple[int, ...]
    """The frames that the model was shown, likewise."""
    answers: Float64[np.ndarray, " a"] = field(repr=False)
    """Progress that each answer stands for, ascending."""
    probabilities: Float64[np.ndarray, " a"] = field(repr=False)
    """Of the answers, summing to 1."""
    leftover: float
    """What the model gave to everything that is no answer, before the rest was divided by its sum; in [0, 1]."""

    def quantile(self, share: float) -> float:
        """Return the least progress with `share` of the probability at or below it."""
        leftover = np.array([self.leftover])
        return float(_quantile(Distribution(self.answers, self.probabilities[None], leftover), share)[0])

    def to_json(self) -> dict[str, Any]:
        """Return the record without its distribution, JSON-able."""
        names = ("task", "expected", "median", "success", "frame", "leftover")
        low, high = (self.quantile(share) for share in (0.05, 0.95))
        return {name: getattr(self, name) for name in names} | {"low": low, "high": high, "shown": list(self.shown)}


@dataclass(frozen=True, eq=False)
class Curve:
    """Progress at the ends of growing prefixes of one clip."""

    task: str
    frames: Int64[np.ndarray, " p"]
    """The last frame of each prefix, by its number in the recording, from 0."""
    seconds: Float64[np.ndarray, " p"] | None
    """When these are shown, from the start of the recording; None for clips without times."""
    shown: tuple[tuple[int, ...], ...]
    """The frames that the model was shown of each prefix, likewise."""
    success: Bool[np.ndarray, " p"]
    """With hysteresis, see `rfm.scoring.success`."""
    distribution: Distribution
    """Over progress in [0, 1], a row a point."""

    @property
    def expected(self) -> Float64[np.ndarray, " p"]:
        """The mean of each point's distribution."""
        return self.distribution.mean()

    @property
    def median(self) -> Float64[np.ndarray, " p"]:
        """The median of each point's distribution."""
        return self.distribution.median()

    @property
    def leftover(self) -> Float64[np.ndarray, " p"]:
        """What the model gave to everything that is no answer."""
        return self.distribution.leftover

    def quantile(self, share: float) -> Float64[np.ndarray, " p"]:
        """Return the least progress of each point with `share` of the probability at or below it."""
        return _quantile(self.distribution, share)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, point: int) -> Progress:
        of = self.distribution
        return Progress(
            task=self.task,
            expected=float(self.expected[point]),
            median=float(self.median[point]),
            success=bool(self.success[point]),
            frame=int(self.frames[point]),
            shown=self.shown[point],
            answers=of.answers,
            probabilities=of.probabilities[point],
            leftover=float(of.leftover[point]),
        )


@dataclass(frozen=True)
class Preference:
    """Which of two clips, a or b, made more progress."""

    task: str
    a: float
    """The probability that a did, the mean over both orders of showing them."""
    by_order: tuple[float, float]
    """The same with a shown first, and with b shown first."""
    leftover: float
    """What the model gave to everything that is no answer, the mean over both orders."""

    @property
    def better(self) -> str | None:
        """`a` or `b`; None where neither is more probable."""
        return None if self.a == 0.5 else "a" if self.a > 0.5 else "b"

    @property
    def agree(self) -> bool:
        """Whether both orders of showing them name the same clip; if not, the model goes by the order."""
        first, second = self.by_order
        return (first > 0.5) == (second > 0.5)

    def to_json(self) -> dict[str, Any]:
        """Return the record, JSON-able."""
        return {
            "task": self.task,
            "better": self.better,
            "a": self.a,
            "agree": self.agree,
            "by_order": list(self.by_order),
            "leftover": self.leftover,
        }


def _quantile(distribution: Distribution, share: float) -> Float64[np.ndarray, " p"]:
    if not 0 <= share <= 1:
        raise ConfigError(f"`share` must lie between 0 and 1, but is {share}")
    return distribution.quantile(share)
