"""What may be asked of a reward model, whether it is in this process or behind a server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rfm.errors import ConfigError
from rfm.frames.spacing import CHOICES
from rfm.ingest.episode import IngestOptions
from rfm.scoring.counts import check_count
from rfm.scoring.given_frames import Clip, clips_for
from rfm.scoring.instructions import instruction, instructions
from rfm.vqa.prompts import ACTORS, ROBOT

Record = TypeVar("Record")
KEY_VARIABLE = "RFM_API_KEY"
"""The environment variable of the key that a server is shown: on a command line others would see it."""


@dataclass(frozen=True)
class Asked:
    """What a call asks about: one task, answered by one record, or several, answered by a list."""

    texts: list[str]
    one: bool

    @classmethod
    def of(cls, task: str | None, tasks: Iterable[str] | None, actor: str = ROBOT) -> Asked:
        """Return it from the arguments of a call; ConfigError unless they say what to do, and who."""
        if (task is None) == (tasks is None):
            raise ConfigError("`task` or `tasks` must be given, one of them")
        check_actor(actor)
        return cls([instruction(task)] if tasks is None else instructions(tasks), tasks is None)

    def clips(self, given: Any, reading: IngestOptions, name: str = "`frames`") -> list[Clip]:
        """Return a clip a task; errors call what was given `name`."""
        return clips_for(given, self.texts, reading, one=self.one, name=name)

    def sides(self, a: Any, b: Any, reading: IngestOptions) -> tuple[list[Clip], list[Clip]]:
        """Return the clips of both sides of a pair a task."""
        return self.clips(a, reading, "`a`"), self.clips(b, reading, "`b`")

    def answer(self, found: list[Record]) -> Record | list[Record]:
        """Return what was found, a record a task, in the form that was asked for."""
        return found[0] if self.one else found


def check_actor(actor: str) -> None:
    """Raise ConfigError where it is not known whom a clip shows."""
    if actor not in ACTORS:
        raise ConfigError(f"`actor` must be one of {', '.join(ACTORS)}, but is {actor!r}")


def check_points(points: int | None, frame_choice: str) -> None:
    """Raise ConfigError where a curve can't have so many points, or frames be chosen so."""
    if frame_choice not in CHOICES:
        raise ConfigError(f"`frame_choice` must be one of {', '.join(CHOICES)}, but is {frame_choice!r}")
    if points is not None:
        check_count("points", points)
