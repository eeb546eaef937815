"""A CSV that the user writes with a line an episode (or a file, or a folder of them), found by its column `episode`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from rfm.errors import ConfigError, DataError
from rfm.files.documents.csv_lines import csv_lines

PLACE = ""
"""The key of each row under which it says where it stands, for messages."""

_MOST_LISTED = 5


class Listed:
    """The lines of a CSV by episode; `finish` tells which belong to no episode."""

    def __init__(self, path: Path, flag: str, columns: Sequence[str]):
        self._flag = flag
        self._rows = _read(path, flag, columns)
        self._unused = set(self._rows)

    def rows(self) -> Iterable[Mapping[str, str]]:
        """All lines."""
        return self._rows.values()

    def row(self, names: Sequence[str]) -> Mapping[str, str] | None:
        """The line of the episode that may be called by any of `names`, or by a folder of theirs; the nearest wins."""
        found = [name for name in dict.fromkeys(names) if name in self._rows]
        if len(found) > 1:
            raise DataError(f"{self._flag} must list an episode once, but lists it as {' and as '.join(found)}")
        folders = (str(folder) for name in names for folder in PurePosixPath(name).parents)
        name = next((name for name in (*found, *folders) if name in self._rows), None)
        if name is None:
            return None
        self._unused.discard(name)
        return self._rows[name]

    def meet(self, name: str, below: bool = False) -> None:
        """Say that an episode, or what lies `below` a file or folder, is there, though nothing of it may be read."""
        self._unused.discard(name)
        if below:
            self._unused -= {listed for listed in self._unused if listed.startswith(f"{name}/")}

    def finish(self) -> None:
        """ConfigError for lines that belong to no episode."""
        if self._unused:
            names = sorted(self._unused)
            more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
            raise ConfigError(
                f"each `episode` of {self._flag} must be one of the dataset, but {', '.join(names[:_MOST_LISTED])}"
                f"{more} is not there"
            )


def _read(path: Path, flag: str, columns: Sequence[str]) -> dict[str, Mapping[str, str]]:
    try:
        lines = list(csv_lines(path, ("episode", *columns)))
    except DataError as error:
        raise ConfigError(f"{flag} must name a readable CSV, but: {error}") from error
    rows: dict[str, Mapping[str, str]] = {}
    for line in lines:
        place = f"{path} line {line.number}"
        if line.fault is not None:
            raise DataError(f"{place} {line.fault}")
        name = line.value["episode"].strip()
        if not name or name in rows:
            raise DataError(f"{place}: `episode` must be set and differ in every line, but is `{name}`")
        rows[name] = {**line.value, PLACE: place}
    return rows
