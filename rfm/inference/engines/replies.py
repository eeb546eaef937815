"""What completions say: texts, and the probabilities of answers where the server gives log-probabilities.

A server that goes on with a begun answer (vLLM) gives exact probabilities, see `answer_walk`. Of any other they are
read where its own completion comes to an answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from rfm.errors import ConfigError
from rfm.inference.answering.distribution import Distribution
from rfm.inference.prediction import Prediction, scored_predictions

_ANSWER_BEGINS = re.compile(r"ANS:\s*$")


def first_tokens(tokens: Sequence[Any] | None) -> list[tuple[str, float]]:
    """Return the most probable first tokens of a completion with their log-probabilities.

    Raises:
        ConfigError: the completion has no log-probabilities at all.

    """
    if tokens is None:
        raise ConfigError(
            "`decoding` scored needs log-probabilities, but the server gave none; take --decoding greedy or sample"
        )
    return [(word, log) for word, log in tokens[0][1]] if tokens else []


def answer_probabilities(tokens: Sequence[Any] | None, answers: Sequence[int]) -> list[float] | None:
    """Return the probabilities of one-token answers at the position behind `ANS:`, 0 for those not among the top.

    None where the completion has no such position, or none of the answers is among the top there.

    Raises:
        ConfigError: the completion has no log-probabilities at all.

    """
    first_tokens(tokens)
    text = ""
    for token, top in tokens or ():
        if _ANSWER_BEGINS.search(text) and token.strip():
            shares = [float(sum(np.exp(log) for word, log in top if word.strip() == str(one))) for one in answers]
            return shares if any(shares) else None
        text += token
    return None


def read_distribution(tokens: Sequence[Any] | None, answers: Sequence[int]) -> Distribution | None:
    """Return what `answer_probabilities` gives, divided by its sum."""
    found = answer_probabilities(tokens, answers)
    if found is None:
        return None
    with np.errstate(divide="ignore"):
        return Distribution.from_logs(np.array(answers, np.float64), np.log(np.array([found])))


def scored_prediction(kind: str, text: str, found: Sequence[Distribution | None]) -> Prediction:
    """Return the answer of what was found in the first and, if asked, the other order of the videos.

    Where the model did not come to an answer, its text stands, for the parser to find nothing in.
    """
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return Prediction(text)
    scores = known[0] if len(known) == 1 else known[0].averaged_with(known[1].reversed())
    return scored_predictions(scores, kind)[0]
