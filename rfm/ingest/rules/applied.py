"""The user's rules for texts and labels, applied to one episode after the other by whichever adapter lists them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

from rfm.errors import ConfigError, DataError
from rfm.ingest.rules.cameras import listing
from rfm.ingest.rules.labels import Label, LabelOptions, LabelRule
from rfm.ingest.rules.texts import TaskRule

_MOST_HELD = 20


class Recorded(Protocol):
    """What an episode records beside its pictures."""

    def columns(self) -> Collection[str]:
        """The names that a user may give."""

    def values(self, column: str) -> Sequence[Any] | None:
        """The values of a column, one a frame or one in all; None where the episode has no such column."""


class Told(NamedTuple):
    """What the rules say of an episode."""

    task: str | None
    label: Label


class Rules:
    """`apply` for each episode, `meet` for what can't be read, `finish` at the end."""

    def __init__(self, options: LabelOptions, success: str | None = None):
        """`success` is a column of the format that means success without being asked for."""
        self._texts, self._labels = TaskRule(options), LabelRule(options)
        self._task_column = _Column("--task_column", options.task_column)
        default = success if self._labels.needs_column() else None
        self._label_column = _Column("--label_column", options.label_column or default)

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that `apply` will ask for."""
        columns = (self._task_column.name, self._label_column.name)
        return tuple(dict.fromkeys(name for name in columns if name is not None))

    def meet(self, name: str, below: bool = False) -> None:
        """Say that an episode, or what lies `below` a file or folder, is there, whether it can be read or not."""
        self._texts.meet(name, below)
        self._labels.meet(name, below)

    def apply(self, names: Sequence[str], place: str, recorded: Recorded) -> Told:
        """What is known of the episode that the user's lists may call by any of `names`, the first being its path.

        DataError, calling the episode `place`, where a rule does not fit it.
        """
        for name in names:
            self.meet(name)
        task = self._texts.given(names, place, self._task_column.values(recorded, place))
        values = self._label_column.values(recorded, place)
        return Told(task, self._labels.label(names, values, self._label_column.name or ""))

    def finish(self) -> None:
        """ConfigError for columns that no episode has, and for lines of lists that belong to none."""
        for rule in (self._task_column, self._label_column, self._texts, self._labels):
            rule.finish()


class _Column:
    """A column or attribute that the user names: an episode may lack it, but not all of them."""

    def __init__(self, flag: str, name: str | None):
        self.name = name
        self._flag = flag
        self._found = False
        self._held: dict[str, None] = {}

    def values(self, recorded: Recorded, place: str) -> Sequence[Any] | None:
        """The episode's values, None where no column is named; DataError where the episode has no such column."""
        if self.name is None:
            return None
        values = recorded.values(self.name)
        if values is None:
            held = list(recorded.columns())
            self._held |= dict.fromkeys(held[:_MOST_HELD])
            raise DataError(f"{place} must have `{self.name}`, which {self._flag} names, but has {listing(held)}")
        self._found = True
        return values

    def finish(self) -> None:
        """ConfigError where episodes were asked, and none had the column."""
        if self._held and not self._found:
            raise ConfigError(f"{self._flag} must name one of {listing(list(self._held))}, but is `{self.name}`")
