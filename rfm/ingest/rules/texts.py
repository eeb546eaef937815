"""What the robot was asked to do, where the format leaves it open: a rule that the user gives, as for labels.

One of four: `--task` for all episodes, `--task_column` for a recorded column or attribute, `--task_pattern` for a part
of the path that an episode lies at (`(.+)_demo` of `open_the_drawer_demo.hdf5`, `([^/]+)/` for a folder a task), or
`--tasks` for a CSV with a line an episode, a file or a folder (`episode`, `task`). What the CSV does not list keeps the
text that was recorded. An episode without a text is rejected: none is made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.ingest.options import DatasetOptions
from rfm.ingest.rules.listed import Listed

WAYS = "--task, --tasks, --task_column or --task_pattern"


@dataclass(frozen=True, kw_only=True)
class TextOptions(DatasetOptions):
    """A dataset whose format leaves open what was asked for."""

    task: str | None = field(default=None, metadata={"help": "What the robot was asked to do, in all episodes"})
    task_column: str | None = field(
        default=None, metadata={"help": "Recorded column or attribute with what the robot was asked to do"}
    )
    task_pattern: str | None = field(
        default=None,
        metadata={"help": "Regular expression for the episode's path below PATH; its group is the task, _ a space"},
    )
    tasks: str | None = field(
        default=None,
        metadata={"help": "CSV with the columns episode (or its file or folder below PATH) and task", "remote": True},
    )


class TaskRule:
    """The user's rule, applied; `finish` tells what it could not be applied to."""

    def __init__(self, options: TextOptions):
        given = [
            name for name in ("task", "task_column", "task_pattern", "tasks") if getattr(options, name) is not None
        ]
        if len(given) > 1:
            raise ConfigError(f"at most one rule for texts must be given, but --{' and --'.join(given)} are")
        if options.task is not None and not options.task.strip():
            raise ConfigError("`task` must say what the robot was asked to do, but is blank")
        self._options = options
        self._pattern = _compiled(options.task_pattern)
        self._listed = None if options.tasks is None else Listed(Path(options.tasks), "--tasks", ("task",))

    def given(self, names: Sequence[str], place: str, values: Sequence[Any] | None) -> str | None:
        """The episode's text by the user's rule, None where the rule is silent; DataError where it fits no text.

        The CSV may call the episode by any of `names`, the first of which is also matched by the pattern. `values` are
        those of --task_column.
        """
        if self._options.task is not None:
            return self._options.task.strip()
        if self._options.task_column is not None:
            return _only_text(values or (), self._options.task_column, place)
        if self._pattern is not None:
            return _matched(self._pattern, names[0], place)
        row = None if self._listed is None else self._listed.row(names)
        return None if row is None else row["task"].strip() or None

    def meet(self, name: str, below: bool = False) -> None:
        """Say that an episode, or what lies `below` a file or folder, is there, whether it can be read or not."""
        if self._listed is not None:
            self._listed.meet(name, below)

    def finish(self) -> None:
        """ConfigError for lines of the CSV that belong to no episode."""
        if self._listed is not None:
            self._listed.finish()


def recorded_text(texts: Iterable[str], place: str) -> str:
    """The first of the texts that a format holds which is not blank; DataError where there is none."""
    text = next((text.strip() for text in texts if text.strip()), None)
    if text is None:
        raise DataError(f"{place} must have an instruction, but has none: give {WAYS}")
    return text


def compiled_pattern(pattern: str, name: str) -> re.Pattern[str]:
    """The pattern that the option `name` is; ConfigError where it is none."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"`{name}` must be a regular expression, but is `{pattern}`: {error}") from error


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    compiled = compiled_pattern(pattern, "task_pattern")
    if compiled.groups != 1:
        raise ConfigError(
            f"`task_pattern` must have one group, the task: `(.+)_demo`, say, but `{pattern}` has {compiled.groups}"
        )
    return compiled


def _matched(pattern: re.Pattern[str], path: str, place: str) -> str:
    match = pattern.search(path)
    text = (match[1] or "").replace("_", " ").strip() if match else ""
    if not text:
        raise DataError(f"{place} must lie at a path that --task_pattern finds a task in, but lies at `{path}`")
    return text


def _only_text(values: Sequence[Any], column: str, place: str) -> str:
    """The one text that all values are: what a robot was asked to do does not change on the way."""
    texts = {as_text(value, f"`{column}` of {place}") for value in values}
    texts.discard("")
    if len(texts) != 1:
        raise DataError(f"`{column}` of {place} must hold one text, but holds {len(texts)}")
    return texts.pop()


def as_text(value: Any, name: str) -> str:
    """A recorded value as text; DataError where it is no text."""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name} must be UTF-8 text, but is not: {error.reason}") from error
    if not isinstance(value, str):
        raise DataError(f"{name} must be a text, but is {type(value).__name__}")
    return value.strip()
