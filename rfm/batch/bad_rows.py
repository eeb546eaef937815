"""Rows that cannot be shown to the model: they stop the run, or are left out, counted and listed.

In: a row and the `DataError` that reading it gave, in whatever process made the batch. Out: a `DataError` that names
the row, or a line in a file: loader workers and the processes of a distributed run share nothing else, and a run that
was interrupted finds the lines of its first part there. A line is one append, so that writers do not mix.

A batch goes on without its bad rows. One of bad rows alone becomes a stand-in (`VQACollator`), since every process must
take part in every step. Where more than half of many rows are bad something else is wrong, and the run stops.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rfm.batch.clips import Row
from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import json_lines

STOP, SKIP = "stop", "skip"
POLICIES = (STOP, SKIP)
NUMBER_COLUMN = "row_number"
"""A row's position in its dataset, where it has one."""

TOO_MANY = 100
"""Bad rows in one process, from which on they may not be more than half."""
NAMED = 5


class BadRow(NamedTuple):
    """One row that was left out."""

    number: int | None
    reason: str


@dataclass
class BadRows:
    """What happens to bad rows; picklable, each loader worker has its own."""

    policy: str
    file: Path
    """Where rows that were left out are listed, one JSON object a line."""
    seen: int = field(default=0, init=False)
    bad: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"`on_bad_row` must be one of {', '.join(POLICIES)}, but is {self.policy!r}")

    def good(self, rows: int) -> None:
        """Count rows that could be read."""
        self.seen += rows

    def handle(self, row: Row, error: DataError) -> None:
        """Note a bad row; raises `DataError` where it stops the run, or where too many are bad."""
        if self.policy == STOP:
            raise DataError(f"{named(row, error)}; repair its file, or leave such rows out by --on_bad_row {SKIP}")
        self.seen, self.bad = self.seen + 1, self.bad + 1
        line = json.dumps({"row": row.get(NUMBER_COLUMN), "reason": str(error)}) + "\n"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
        if self.bad >= TOO_MANY and 2 * self.bad > self.seen:
            raise DataError(
                f"at most half of the rows may be left out, but {self.bad} of {self.seen} can't be read, the last "
                f"{named(row, error)}; is --datasets_root right? All of them stand in {self.file}"
            )


def named(row: Row, error: DataError) -> str:
    """Return what is wrong with a row, beginning with its number where it has one."""
    number = row.get(NUMBER_COLUMN)
    return str(error) if number is None else f"row {number}: {error}"


def left_out(file: Path) -> list[BadRow]:
    """Return the rows listed in a file, each once, in the order they were met in; a line cut off is passed over."""
    found: dict[tuple[int | None, str], BadRow] = {}
    for _, values, _ in json_lines(file) if file.is_file() else ():
        try:
            entry = BadRow(values["row"], values["reason"])
        except (KeyError, TypeError, IndexError):
            continue
        found.setdefault((entry.number, "" if entry.number is not None else entry.reason), entry)
    return list(found.values())


def summary(rows: Sequence[BadRow], total: int, file: Path) -> str:
    """Return what the end of a run has to say about rows that were left out."""
    some = "; ".join(f"row {row.number}: {row.reason}" for row in rows[:NAMED])
    more = f"; and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"{len(rows)} of {total} rows could not be read and were not trained on ({file}): {some}{more}"
