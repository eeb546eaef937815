"""What a robot is to do, as everybody may put it: one rule for models, clients, servers, trackers and wrappers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rfm.errors import ConfigError


def instruction(given: Any) -> str:
    """Return the text that the model is asked about; ConfigError where it is none."""
    if not isinstance(given, str) or not given.strip():
        raise ConfigError(f"a task must be a text that says what to do, but is {given!r}")
    try:
        given.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"a task must be a text in Unicode, but holds half a pair of UTF-16: {given!r}") from None
    return str(given)


def instructions(given: Any, name: str = "`tasks`") -> list[str]:
    """Return several, gone through once: an iterator has nothing left the second time."""
    if isinstance(given, str):
        raise ConfigError(f"{name} must be a list of texts, but is one: give task={given!r}, or a list")
    if not isinstance(given, Iterable):
        raise ConfigError(f"{name} must be a list of texts, but is {type(given).__name__}")
    return [instruction(text) for text in given]
