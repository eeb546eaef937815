"""What a request says besides its clips: fields of a form or of a JSON object, each checked where it is read.

Numbers may come as numbers (JSON) or as text (forms); lists as lists, or as the text of a JSON list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import parse_json
from rfm.files.limits import LONGEST_TEXT
from rfm.frames.spacing import CHOICES, EVENLY
from rfm.scoring.instructions import instruction
from rfm.serving.problems import not_usable
from rfm.serving.questions import Ask
from rfm.vqa.prompts import ACTORS, ROBOT

MOST_TASK = 2000
"""Characters of a task."""
_LONGEST_NUMBER = 24


class Fields:
    """The fields of one request; `finish` says which of them mean nothing."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}
        self._asked: set[str] = set()

    def finish(self) -> None:
        """Raise a Problem for a field that nobody has asked for: it would be believed to have an effect."""
        unknown = sorted(self._values.keys() - self._asked)
        if unknown:
            known = ", ".join(sorted(self._asked))
            raise not_usable(f"`{unknown[0][:60]}` must be one of {known}, but is none of them")

    def ask(self) -> Ask:
        """Return the task and who is watched."""
        try:
            task = instruction(self.text("task", MOST_TASK))
        except ConfigError as error:
            raise not_usable(str(error)) from None
        return Ask(task, self.choice("actor", ACTORS, ROBOT))

    def text(self, name: str, most: int = LONGEST_TEXT) -> str:
        """Return a text that must be there and say something."""
        value = self._get(name)
        if not isinstance(value, str) or not value.strip():
            raise not_usable(f"`{name}` must be a text that says something, but {_said(value)}")
        if len(value) > most:
            raise not_usable(f"`{name}` must have at most {most} characters, but has {len(value)}")
        if "\0" in value:
            raise not_usable(f"`{name}` must be a text, but has a zero byte in it")
        return value

    def choice(self, name: str, choices: Any, otherwise: str) -> str:
        """Return one of several words."""
        value = self._get(name)
        if value is None:
            return otherwise
        if not isinstance(value, str) or value not in choices:
            raise not_usable(f"`{name}` must be one of {', '.join(choices)}, but {_said(value)}")
        return value

    def frame_choice(self) -> str:
        """Return how the frames of a prefix are chosen."""
        return self.choice("frame_choice", CHOICES, EVENLY)

    def count(self, name: str, most: int) -> int | None:
        """Return a whole number from 1 to `most`, or None."""
        value = self._get(name)
        if isinstance(value, str) and len(value) < _LONGEST_NUMBER and value.strip().isdecimal():
            value = int(value)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise not_usable(f"`{name}` must be a whole number from 1 to {most}, but {_said(value)}")
        return value

    def whole_numbers(self, name: str) -> list[int] | None:
        """Return a list of whole numbers from 0 on, or None."""
        values = self._list(name)
        if values is not None and not all(map(_is_place, values)):
            raise not_usable(f"`{name}` must be a list of whole numbers from 0 on, but {_said(values)}")
        return values

    def lists_of_whole_numbers(self, name: str) -> list[list[int]] | None:
        """Return a list, not empty, of ascending lists of whole numbers from 0 on, or None."""
        values = self._list(name)
        if values is not None and not (values and all(_ascends(one) for one in values)):
            raise not_usable(
                f"`{name}` must be a list of ascending lists of whole numbers from 0 on, but {_said(values)}"
            )
        return values

    def numbers(self, name: str) -> list[float] | None:
        """Return a list of numbers, or None."""
        values = self._list(name)
        if values is None:
            return None
        if not all(
            isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) and abs(one) < 2**53
            for one in values
        ):
            raise not_usable(f"`{name}` must be a list of numbers, but {_said(values)}")
        return [float(one) for one in values]

    def optional_text(self, name: str) -> str | None:
        """Return a text or None."""
        return None if self._get(name) is None else self.text(name)

    def _list(self, name: str) -> list[Any] | None:
        value = self._get(name)
        if isinstance(value, str):
            try:
                value = parse_json(value, f"`{name}`")
            except DataError as error:
                raise not_usable(str(error)) from None
        if value is not None and not isinstance(value, list):
            raise not_usable(f"`{name}` must be a list, but {_said(value)}")
        return value

    def _get(self, name: str) -> Any:
        self._asked.add(name)
        return self._values.get(name)


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _ascends(values: Any) -> bool:
    """Whether this is a list, not empty, of ascending whole numbers from 0 on."""
    if not isinstance(values, list) or not values or not all(map(_is_place, values)):
        return False
    return all(earlier < later for earlier, later in pairwise(values))


def _said(value: Any) -> str:
    if value is None:
        return "is missing"
    shown = repr(value)
    return f"is {shown if len(shown) <= 60 else shown[:60] + '…'}"
