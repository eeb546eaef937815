"""What may be asked of a reward model, whether it is in this process or behind a server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rfm.errors import ConfigError
from rfm.frames.spacing import CHOICES
from rfm.ingest.episode import IngestOptions
from rfm.scoring.given_frames import Clip, clips_for

Record = TypeVar("Record")
KEY_VARIABLE = "RFM_API_KEY"
"""The environment variable of the key that a server is shown: on a command line others would see it."""


@dataclass(frozen=True)
class Asked:
    """What a call asks about: one task, answered by one record, or several, answered by a list."""

    texts: list[str]
    one: bool

    @classmethod
    def of(cls, task: str | None, tasks: Iterable[str] | None) -> Asked:
        """Return it from both arguments; ConfigError unless one of them says what to do."""
        if (task is None) == (tasks is None):
            raise ConfigError("`task` or `tasks` must be given, one of them")
        texts = [task] if tasks is None else _listed(tasks)
        for text in texts:
            if not isinstance(text, str) or not text.strip():
                raise ConfigError(f"a task must be a text that says what to do, but is {text!r}")
        return cls([str(text) for text in texts], tasks is None)

    def clips(self, given: Any, reading: IngestOptions, name: str = "`frames`") -> list[Clip]:
        """Return a clip a task; errors call what was given `name`."""
        return clips_for(given, self.texts, reading, one=self.one, name=name)

    def sides(self, a: Any, b: Any, reading: IngestOptions) -> tuple[list[Clip], list[Clip]]:
        """Return the clips of both sides of a pair a task."""
        return self.clips(a, reading, "`a`"), self.clips(b, reading, "`b`")

    def answer(self, found: list[Record]) -> Record | list[Record]:
        """Return what was found, a record a task, in the form that was asked for."""
        return found[0] if self.one else found


def _listed(tasks: Any) -> list[Any]:
    """Return the tasks, gone through once: an iterator has nothing left the second time."""
    if isinstance(tasks, str):
        raise ConfigError(f"`tasks` must be a list of texts, but is one: give task={tasks!r}, or a list")
    if not isinstance(tasks, Iterable):
        raise ConfigError(f"`tasks` must be a list of texts, but is {type(tasks).__name__}")
    return list(tasks)


def check_points(points: int | None, frame_choice: str) -> None:
    """Raise ConfigError where a curve can't have so many points, or frames be chosen so."""
    if frame_choice not in CHOICES:
        raise ConfigError(f"`frame_choice` must be one of {', '.join(CHOICES)}, but is {frame_choice!r}")
    if points is not None and points < 1:
        raise ConfigError(f"`points` must be at least 1, but is {points}")
