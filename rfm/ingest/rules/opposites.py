"""Tasks that undo each other, as the user names them in a YAML (`--opposites`): the progress of one is 1 less the
other's.

    open the drawer: close the drawer
    window-open: window-close

A name is a `task_id`, else a text or an id in any spelling that normalises alike; a text under several ids means all of
them. Each line holds both ways. All faults of a file are told together, by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rfm.errors import DataError
from rfm.files.documents.yaml_documents import YamlLine, read_yaml_lines
from rfm.ingest.episode import Episode, Unusable
from rfm.trajectories.record import normalise_task

_MOST_FAULTS = 20
_MOST_LISTED = 5
_LONGEST_SHOWN = 100

Tasks = frozenset[str]
"""Names of tasks as datasets have them: the `task_id`, else the normalised text."""


def with_opposites(episodes: Sequence[Episode], path: Path) -> list[Episode]:
    """The episodes with the opposites of their tasks; DataError lists all that is wrong with the file."""
    known = _Known(episodes)
    faults: list[str] = []
    opposites: dict[str, tuple[Tasks, int]] = {}
    for line in read_yaml_lines(path):
        sides = [known.tasks(name, line.number, faults) for name in (line.key, line.value)]
        if all(sides):
            faults += _joined(opposites, line, *sides)
    if faults:
        more = f"\n  and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        listed = "\n  ".join(faults[:_MOST_FAULTS])
        raise DataError(f"{path} has {len(faults)} fault{'s' * (len(faults) > 1)}:\n  {listed}{more}")
    none: tuple[Tasks, int] = (Tasks(), 0)
    return [
        replace(one, opposites=tuple(sorted(opposites.get(known.name(one.task, one.task_id), none)[0])))
        if _is_said(one)
        else one
        for one in episodes
    ]


def _joined(opposites: dict[str, tuple[Tasks, int]], line: YamlLine, one: Tasks, other: Tasks) -> Iterator[str]:
    """Note the two as each other's opposites; yield what speaks against it."""
    if one & other:
        yield f"line {line.number}: a task must not be its own opposite, but `{_shown(line.key)}` is: `{line.value}`"
        return
    for mine, theirs in ((one, other), (other, one)):
        for task in sorted(mine):
            said, where = opposites.setdefault(task, (theirs, line.number))
            if said != theirs:
                yield (
                    f"line {line.number}: the opposite of `{_shown(task)}` must be one, but is {_listing(theirs)} here "
                    f"and {_listing(said)} in line {where}"
                )


class _Known:
    """The tasks of the episodes, by each name that a user may give them."""

    def __init__(self, episodes: Iterable[Episode]):
        self._spellings: dict[str, set[str]] = {}
        said = dict.fromkeys((one.task, one.task_id) for one in episodes if _is_said(one))
        self._ids = {task_id.strip() for _, task_id in said if task_id and task_id.strip()}
        for text, task_id in sorted(said, key=lambda one: not one[1]):  # texts without an id join those that have one
            self._spellings.setdefault(normalise_task(text), {self.name(text, task_id)})
            if task_id:
                self._spellings[normalise_task(text)].add(task_id.strip())
        for task_id in self._ids:
            self._spellings.setdefault(normalise_task(task_id), {task_id})

    def name(self, text: str, task_id: str | None) -> str:
        """What datasets call the task with this text and id."""
        wording = normalise_task(text)
        return (task_id or "").strip() or min(self._spellings.get(wording, ()), default=wording)

    def tasks(self, name: object, line: int, faults: list[str]) -> Tasks:
        """The tasks that a name means; none, and a fault, where it means none."""
        if not isinstance(name, str) or not name.strip():
            faults.append(f"line {line}: a task must be named by a text, but is `{_shown(name)}`: put it in quotes")
            return Tasks()
        found = {name.strip()} & self._ids or self._spellings.get(normalise_task(name))
        if not found:
            held = _listing(self._spellings)
            faults.append(f"line {line}: a task must be one of these episodes', {held}, but is `{_shown(name)}`")
        return Tasks(found or ())


def _is_said(episode: Episode) -> bool:
    """Whether the episode has a task; what is none is told with its other values, later."""
    texts = isinstance(episode.task, str) and isinstance(episode.task_id, (str, type(None)))
    return texts and not isinstance(episode.source, Unusable)


def _shown(name: object) -> str:
    return str(name)[:_LONGEST_SHOWN]


def _listing(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    return ", ".join(f"`{_shown(name)}`" for name in listed[:_MOST_LISTED]) + more
