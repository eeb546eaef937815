"""JSON from files that anybody may have written: within bounds, and nothing in it that would be read as something else.

Refused besides what is no JSON: nesting deeper than `MOST_DEEP`, more than `MOST_VALUES` values, whole numbers beyond
64 bits, NaN and Infinity (spelt out or as 1e400), a key that stands twice in an object and hides a value, half a pair
of UTF-16 (`"\\ud800"`), which no file, column or terminal takes. YAML and CSV are read by `yaml_documents` and
`csv_lines`; which files are read at all is decided in `regular`.

Cost: about twice that of `json.loads`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from rfm.errors import DataError
from rfm.files.documents.regular import LARGE, SMALL, decoded, lines_or_faults, read_bytes

__all__ = ["LARGE", "SMALL", "Line", "check_values", "json_lines", "parse_json", "read_json", "read_json_object"]

MOST_DEEP = 64
MOST_VALUES = 2**24
"""Values of one document; each takes some 60 bytes of memory."""

_LONGEST_NUMBER = 400
"""Digits of a number; a float printed in full has at most 325."""
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


class Line(NamedTuple):
    """A line of a list of values."""

    number: int
    """From 1."""
    value: Any
    fault: str | None = None
    """What is wrong with it, to be put behind the name of the line: "must be JSON, but …"."""


class _Fault(ValueError):
    """A rule of this module that a document breaks."""


def read_json(path: str | Path, *, way_out: str = "", most: int = SMALL) -> Any:
    """Return what a JSON file holds.

    Raises:
        MissingFileError: there is none.
        DataError: it is no regular file of at most `most` bytes, or breaks a rule; ends in `way_out`.

    """
    content = read_bytes(path, most)
    return parse_json(content, str(path), way_out=way_out)


def read_json_object(path: str | Path, *, way_out: str = "", most: int = SMALL) -> dict[str, Any]:
    """Return the object that a JSON file holds; `DataError` also where it holds something else."""
    values = read_json(path, way_out=way_out, most=most)
    if not isinstance(values, dict):
        raise DataError(_ended(f"{path} must hold a JSON object, but holds {named_kind(values)}", way_out))
    return values


def json_lines(path: str | Path) -> Iterator[Line]:
    """Yield the value of each line of a JSONL file that is not blank, or what is wrong with the line.

    `DataError` where the file is no readable text; a line that is no UTF-8 is the fault of that line.
    """
    for number, text in lines_or_faults(path):
        if isinstance(text, DataError):
            yield Line(number, None, str(text).removeprefix(f"{path} "))
        elif text.strip():
            try:
                yield Line(number, _parsed(text))
            except _Fault as error:
                yield Line(number, None, str(error))


def parse_json(text: str | bytes, place: str, *, way_out: str = "") -> Any:
    """Return the value of a JSON text; `DataError` that begins with `place` where it breaks a rule."""
    if isinstance(text, bytes):
        text = decoded(text, place)
    try:
        return _parsed(text)
    except _Fault as error:
        raise DataError(_ended(f"{place} {error}", way_out)) from error


def check_values(value: Any, place: str) -> None:
    """Hold what another reader made of a document to the rules of this module; `DataError` that begins with `place`."""
    try:
        _check_depth(value)
        _check_scalars(value)
    except _Fault as error:
        raise DataError(f"{place} {error}") from error


def named_kind(value: Any) -> str:
    """Return what a JSON value is, in a reader's words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _parsed(text: str) -> Any:
    if text.count(",") + text.count("[") + text.count("{") > MOST_VALUES:
        raise _Fault(f"must hold at most {MOST_VALUES} values, but holds more")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_not_finite
        )
    except RecursionError:
        raise _Fault(f"must be nested at most {MOST_DEEP} deep, but is deeper") from None
    except json.JSONDecodeError as error:
        raise _Fault(f"must be JSON, but is not: {error}") from None
    _check_depth(value)
    _check_letters(text)
    if _HALF_PAIR.search(text):
        _check_letters(json.dumps(value, ensure_ascii=False))
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Fault(f"must name each key of an object once, but has `{twice[:100]}` twice")
    return values


def _check_scalars(value: Any) -> None:
    if isinstance(value, dict):
        for name, one in value.items():
            _check_scalars(name)
            _check_scalars(one)
    elif isinstance(value, list):
        for one in value:
            _check_scalars(one)
    elif isinstance(value, str):
        _check_letters(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        _integer(str(value))
    elif isinstance(value, float):
        _real(repr(value))


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= (number := int(digits)) < 2**64:
        raise _Fault(f"must have whole numbers of at most 64 bits, but has {_shortened(digits)}")
    return number


def _real(digits: str) -> float:
    if len(digits) > _LONGEST_NUMBER or not math.isfinite(number := float(digits)):
        raise _Fault(f"must have numbers that a computer can hold, but has {_shortened(digits)}")
    return number


def _not_finite(name: str) -> NoReturn:
    raise _Fault(f"must have finite numbers, but has {name}; where nothing is known write null")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_DEEP:
            raise _Fault(f"must be nested at most {MOST_DEEP} deep, but is deeper")
        level = [
            child
            for one in level
            for child in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(child, (dict, list))
        ]


def _check_letters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Fault(f"must be Unicode text, but has half a pair of UTF-16, {text[error.start]!a}") from None


def _shortened(digits: str) -> str:
    return digits if len(digits) <= 40 else f"{digits[:20]}… ({len(digits)} digits)"


def _ended(words: str, way_out: str) -> str:
    return f"{words}; {way_out}" if way_out else words
