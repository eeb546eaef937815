"""Statistics as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from rfm.audit.statistics.counts import Statistics, binned
from rfm.console import plain, results
from rfm.table import FittedTable

MOST_LINES = 15
"""Sources and tasks named, at most."""

_BAR = 20
_NAME = 44
_OTHERS = " others)"


def print_statistics(statistics: Statistics) -> None:
    """Print what one dataset consists of."""
    looked = "" if statistics.rows == statistics.total else f" of {statistics.total}"
    title = f"{statistics.path}: {statistics.rows} rows{looked} on {statistics.frame_files} frame files"
    results().print(title, style="bold", soft_wrap=True)
    for table in tables(statistics):
        results().print(table)
    if statistics.lacking:
        names = ", ".join(statistics.lacking)
        results().print(f"columns it does not have: {names}")


def tables(statistics: Statistics) -> list[Table]:
    """Return the tables: strategies, answers, frames a clip, sizes, sources, tasks."""
    strategies = {
        f"{kind}/{name or 'null'}": count
        for kind, counts in statistics.strategies.items()
        for name, count in counts.items()
    }
    made = [counted("strategies", strategies)]
    for kind, answers in statistics.answers.items():
        scores = kind == "progress" and any(answer.isdigit() and int(answer) > 5 for answer in answers)
        made.append(counted(f"{kind} answers", binned(answers) if scores else answers))
    made += [counted(f"frames a clip, {kind}", counts) for kind, counts in statistics.clip_lengths.items()]
    named = (("height x width", statistics.sizes), ("sources", statistics.sources), ("tasks", statistics.tasks))
    made += [counted(title, most_frequent(counts)) for title, counts in named if counts]
    return made


def most_frequent(counts: Mapping[str, int], most: int = MOST_LINES) -> dict[str, int]:
    """Return the first `most` counts and the sum of the others."""
    first = dict(list(counts.items())[:most])
    others = sum(counts.values()) - sum(first.values())
    return first | ({f"({len(counts) - len(first)}{_OTHERS}": others} if others else {})


def counted(title: str, counts: Mapping[str, int]) -> Table:
    """A table of counts with their shares."""
    table = FittedTable(title, show_header=False)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    whole = max(sum(counts.values()), 1)
    highest = max((count for name, count in counts.items() if not name.endswith(_OTHERS)), default=0)
    for name, count in counts.items():
        shown = plain(name or "(null)", _NAME)
        bar = "█" * round(_BAR * min(count / max(highest, 1), 1))
        table.add_row(shown, str(count), f"{count / whole:.1%}", bar)
    return table
