"""Probabilities over answers, and the single answers that can be drawn from them. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class Distribution:
    """Probabilities of b rows over the same ascending answers, for example 1 and 2, or 0 to 100."""

    answers: Float64[np.ndarray, " answers"]
    probabilities: Float64[np.ndarray, "b answers"]
    """Each row sums to 1."""
    leftover: Float64[np.ndarray, " b"]
    """What the model gave to everything that is no answer, before the rest was divided by its sum; in [0, 1]."""

    @classmethod
    def from_logs(
        cls, answers: Float64[np.ndarray, " answers"], logs: Float64[np.ndarray, "b answers"]
    ) -> Distribution:
        """Normalise log-probabilities over the answers; what they lack to 1 is left over."""
        total = np.logaddexp.reduce(logs, axis=1)
        return cls(answers, np.exp(logs - total[:, None]), np.clip(1.0 - np.exp(total), 0.0, 1.0))

    def __len__(self) -> int:
        return len(self.probabilities)

    def part(self, rows: slice, answers: Float64[np.ndarray, " answers"]) -> Distribution:
        """Return some of the rows, with what the answers stand for in their place."""
        return Distribution(answers, self.probabilities[rows], self.leftover[rows])

    def reversed(self) -> Distribution:
        """Return the same with each answer in the opposite one's place: of the videos in the other order."""
        return Distribution(self.answers, self.probabilities[:, ::-1], self.leftover)

    def averaged_with(self, other: Distribution) -> Distribution:
        """Return the mean of two distributions over the same answers."""
        return Distribution(
            self.answers,
            (self.probabilities + other.probabilities) / 2,
            (self.leftover + other.leftover) / 2,
        )

    def mean(self) -> Float64[np.ndarray, " b"]:
        """Return the expected answer: of all numbers the one of least expected squared error."""
        return self.probabilities @ self.answers

    def median(self) -> Float64[np.ndarray, " b"]:
        """Return the least answer with half of the probability at or below it: of least expected absolute error."""
        return self.quantile(0.5)

    def quantile(self, share: float) -> Float64[np.ndarray, " b"]:
        """Return the least answer with `share` of the probability at or below it."""
        below = np.cumsum(self.probabilities, axis=1)
        reached = below >= min(share, 1.0) - 1e-9  # rounding must not push a half below a half
        return self.answers[reached.argmax(axis=1)]

    def mode(self) -> Float64[np.ndarray, " b"]:
        """Return the most probable answer; the lower one of equals."""
        return self.answers[self.probabilities.argmax(axis=1)]

    def entropy(self) -> Float64[np.ndarray, " b"]:
        """Return the entropy in nats: 0 where one answer has it all, log(answers) where all are equal."""
        safe = np.where(self.probabilities > 0, self.probabilities, 1.0)
        return np.abs((self.probabilities * np.log(safe)).sum(axis=1))
