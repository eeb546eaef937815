"""What a document must look like, said as a value: `fields({"rows": COUNT, "names": listed(TEXT)})`.

A shape is a function of a value and its name that raises `DataError` where the value does not fit: "`a.rows` must be a
whole number from 0 on, but is "many"". Keys that a shape does not name are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rfm.errors import DataError

Shape = Callable[[Any, str], None]

_LONGEST_SHOWN = 80


def fitted(value: Any, shape: Shape, place: str) -> Any:
    """Return the value where it fits; `DataError` that begins with `place` where it does not."""
    try:
        shape(value, "")
    except DataError as error:
        raise DataError(f"{place} {error}") from error
    return value


def leaf(kind: str, holds: Callable[[Any], bool]) -> Shape:
    """Return the shape of values for which `holds`."""

    def check(value: Any, name: str) -> None:
        if not holds(value):
            shown = json.dumps(value, ensure_ascii=True, default=str)
            shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 1]}…"
            raise DataError(f"{f'`{name}` ' if name else ''}must be {kind}, but is {shown}")

    return check


def nullable(shape: Shape) -> Shape:
    """Return the shape that null fits too."""
    return lambda value, name: None if value is None else shape(value, name)


def listed(shape: Shape, length: int | None = None) -> Shape:
    """Return the shape of lists of that shape, of any length or of one."""
    whole = leaf("a list" if length is None else f"a list of {length}", lambda value: _is_list(value, length))

    def check(value: Any, name: str) -> None:
        whole(value, name)
        for at, one in enumerate(value):
            shape(one, f"{name}[{at}]")

    return check


def named(shape: Shape) -> Shape:
    """Return the shape of objects with any keys, whose values have that shape."""

    def check(value: Any, name: str) -> None:
        OBJECT(value, name)
        for key, one in value.items():
            shape(one, _below(name, key))

    return check


def fields(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Return the shape of objects that have these keys, and may have those."""

    def check(value: Any, name: str) -> None:
        OBJECT(value, name)
        if lacking := [key for key in required if key not in value]:
            raise DataError(f"lacks {', '.join(f'`{_below(name, key)}`' for key in lacking)}")
        for key, shape in {**required, **(optional or {})}.items():
            if key in value:
                shape(value[key], _below(name, key))

    return check


def _below(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _is_list(value: Any, length: int | None) -> bool:
    return isinstance(value, list) and length in (None, len(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


OBJECT = leaf("an object", lambda value: isinstance(value, dict))
TEXT = leaf("a text", lambda value: isinstance(value, str))
NUMBER = leaf("a number", _is_number)
FLAG = leaf("true or false", lambda value: isinstance(value, bool))
COUNT = leaf(
    "a whole number from 0 on", lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0
)
