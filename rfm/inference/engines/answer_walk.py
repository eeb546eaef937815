"""Probabilities of all answers to a question, by requests for one token each.

A server says how probable tokens are behind a begun answer. Behind `ANS: ` these are the first digits, behind `ANS: 1`
the second ones and the end of the turn, and so on: the tree of `rfm.inference.answering.answer_tree`,
walked one node a request. The least probable nodes are not followed as long as they have no more than `LEAST` of
what all answers have, so no probability is off by more than twice that, however little that is. Sharp distributions
take a dozen requests, flat ones up to 112; servers with a prefix cache compute the frames once.

Numbers must be written digit by digit, as Qwen's tokenizers do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rfm.batch.tokens.conversation import ANSWER_PREFIX
from rfm.errors import ConfigError
from rfm.inference.answering.distribution import Distribution

LEAST = 5e-5
END = "<|im_end|>"
"""The token that ends a turn of Qwen's models."""

Shares = Mapping[str, float]
"""Of the most probable next tokens, by their text."""


class AnswerWalk:
    """One question's way through the tree; `pending` and `take` take turns until nothing is pending."""

    def __init__(self, answers: Sequence[int]) -> None:
        self.answers = [str(answer) for answer in answers]
        self._ends = any(one != other and other.startswith(one) for one in self.answers for other in self.answers)
        self._mass = {"": 1.0}
        """Of each begun answer whose probability is known."""
        self._end: dict[str, float] = {}
        self._asked: set[str] = set()

    def pending(self) -> list[str]:
        """Return the begun answers whose next token is to be asked for."""
        left = sorted((mass, begun) for begun, mass in self._mass.items() if self._open(begun))
        most = LEAST * sum(map(self._probability, self.answers))
        return [
            begun for (_, begun), below in zip(left, np.cumsum([mass for mass, _ in left]), strict=True) if below > most
        ]

    def _open(self, begun: str) -> bool:
        goes_on = any(answer != begun and answer.startswith(begun) for answer in self.answers)
        return begun not in self._asked and (goes_on or (self._ends and begun in self.answers))

    def take(self, begun: str, shares: Shares) -> None:
        """Take what may follow a begun answer.

        Raises:
            ConfigError: numbers are not written digit by digit.

        """
        self._asked.add(begun)
        for token, share in shares.items():
            word = token  # as it is: " 1" and "1" are two tokens
            if len(word) > 1 and word.isdecimal() and share > LEAST:
                raise ConfigError(
                    "`decoding` scored must go with a model that writes numbers digit by digit for progress, but the "
                    f"server's writes {word!r} as one token; ask progress with --decoding greedy or sample"
                )
            if word and any(answer.startswith(begun + word) for answer in self.answers):
                self._mass[begun + word] = self._mass[begun] * share
        self._end[begun] = shares.get(END, 0.0)

    def distribution(self) -> Distribution | None:
        """Return the probabilities; None where none of the answers is among what the server gave."""
        found = np.array([self._probability(answer) for answer in self.answers], np.float64)
        if not found.any():
            return None
        with np.errstate(divide="ignore"):
            return Distribution.from_logs(np.array(self.answers, np.float64), np.log(found)[None])

    def _probability(self, answer: str) -> float:
        return self._mass.get(answer, 0.0) * (self._end.get(answer, 1.0) if self._ends else 1.0)


def begun_text(begun: str) -> str:
    """Return the assistant's turn of a begun answer."""
    return ANSWER_PREFIX + begun


def shares_of(top: Sequence[tuple[str, float]]) -> Shares:
    """Return the probabilities of tokens with their log-probabilities."""
    return {token: math.exp(log) for token, log in top}
