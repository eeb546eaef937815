"""Answers, written, read and parsed in one place: `ANS: 1`, `ANS: 75`.

A row's answer is a whole number in range, in the one way that it is written. Python's int() and float() take more for a
number: `3_0`, ` 30`, `0030`, `3e1`, `nan`, digits of other scripts.

Only the generated part of a completion is ever parsed. An answer that is missing, malformed or out of range is None: an
outcome of its own, counted by the metrics, never guessed.
"""

from __future__ import annotations

import re
from numbers import Integral, Real
from typing import Any

from rfm.errors import DataError

_WHOLE = re.compile(r"0|-?[1-9]\d{0,8}", re.ASCII)
_ANSWER = re.compile(r"ANS:\s*(-?\d{1,9})(?![\d.,/]*\d)", re.ASCII)
_LONGEST = 40
"""Letters of an answer that a message shows."""
_RANGES = {"preference": (1, 2), "similarity": (1, 2), "progress": (0, 100)}


def valid_answers(sample_type: str, *, discrete: bool = False) -> tuple[int, ...]:
    """Return all answers to a question, ascending; `discrete` means progress from 1 to 5."""
    low, high = (1, 5) if discrete and sample_type == "progress" else _RANGES[sample_type]
    return tuple(range(low, high + 1))


def read_answer(answer: Any) -> int | None:
    """Return the whole number that a row's `answer` is, a text or one of a column of numbers; None where it is none.

    >>> read_answer("75"), read_answer(75.0), read_answer("7_5")
    (75, 75, None)
    """
    if isinstance(answer, str):
        return int(answer) if _WHOLE.fullmatch(answer) else None
    whole = isinstance(answer, Integral) or (isinstance(answer, Real) and float(answer).is_integer())
    return int(answer) if whole and not isinstance(answer, bool) else None


def valid_answer(sample_type: str, answer: Any, *, discrete: bool = False) -> int:
    """Return what `read_answer` reads; raises `DataError` where it is no valid answer to a question of this type."""
    valid, value = valid_answers(sample_type, discrete=discrete), read_answer(answer)
    if value is None or not valid[0] <= value <= valid[-1]:
        said = repr(answer)
        raise DataError(
            f"`answer` must be a whole number from {valid[0]} to {valid[-1]} for {sample_type}, but is "
            f"{said if len(said) <= _LONGEST else said[:_LONGEST] + '…'}"
        )
    return value


def write_answer(answer: int | str) -> str:
    """Return the assistant's text for an answer."""
    return f"ANS: {answer}"


def parse_answer(sample_type: str, completion: str) -> int | None:
    """Return the first well-formed answer, or None where there is none or it is out of range.

    >>> parse_answer("progress", "ANS: 75")
    75
    >>> parse_answer("preference", "Video 1") is None
    True
    """
    found = _ANSWER.search(completion)
    if found is None:
        return None
    value = int(found.group(1))
    low, high = _RANGES[sample_type]
    return value if low <= value <= high else None


def parse_score(completion: str, *, discrete: bool = False) -> float | None:
    """Return the progress that a completion answers, from 0 to 100; the levels 1 to 5 of `discrete` are 25 apart.

    >>> parse_score("ANS: 75"), parse_score("ANS: 4", discrete=True), parse_score("ANS: 75", discrete=True)
    (75.0, 75.0, None)
    """
    answer = parse_answer("progress", completion)
    if answer is None or not discrete:
        return None if answer is None else float(answer)
    return (answer - 1) * 25.0 if 1 <= answer <= 5 else None
