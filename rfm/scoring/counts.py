"""Options that count something: whole numbers from 1 on, Python's or numpy's."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from rfm.errors import ConfigError


def check_whole(name: str, value: Any) -> None:
    """Raise ConfigError where this is no whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ConfigError(f"`{name}` must be a whole number, but is {value!r}")


def check_count(name: str, value: Any) -> None:
    """Raise ConfigError where this is no whole number from 1 on."""
    check_whole(name, value)
    if value < 1:
        raise ConfigError(f"`{name}` must be at least 1, but is {value}")


def check_batch_size(value: Any) -> None:
    """Raise ConfigError where not so many can be asked at a time."""
    check_whole("batch_size", value)
    if value < 1:
        raise ConfigError(f"`batch_size` must be >= 1, but is {value}")
