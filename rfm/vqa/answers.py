"""Answers, written and parsed in one place: `ANS: 1`, `ANS: 75`.

Only the generated part of a completion is ever parsed. An answer that is missing, malformed or out of range is None: an
outcome of its own, counted by the metrics, never guessed.
"""

from __future__ import annotations

import re

_ANSWER = re.compile(r"ANS:\s*(-?\d{1,9})(?![\d.,/]*\d)", re.ASCII)
_RANGES = {"preference": (1, 2), "similarity": (1, 2), "progress": (0, 100)}


def valid_answers(sample_type: str, *, discrete: bool = False) -> tuple[int, ...]:
    """Return all answers to a question, ascending; `discrete` means progress from 1 to 5."""
    low, high = (1, 5) if discrete and sample_type == "progress" else _RANGES[sample_type]
    return tuple(range(low, high + 1))


def write_answer(answer: str) -> str:
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
