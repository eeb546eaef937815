"""Round a table of fractions to whole numbers so that its margins are rounded as well.

Every entry, every row sum, every column sum and the total become one of the two whole numbers beside them (whole ones
stay), and each has its own value as expectation: L. H. Cox, "A Constructive Procedure for Unbiased Controlled
Rounding", JASA 82 (1987). Rounding entries one by one, or by largest remainders a row, lets the other margin drift.

Entries that are not whole lie on cycles that turn from row to column and back, once every margin has a slack entry that
makes it whole. Adding to every second entry of a cycle what is taken from the others keeps all margins, and the right
amount makes one entry whole; so the work is that of as many cycles as there are entries, of at most twice as many steps
as there are columns. Fractions are kept as integers over one denominator: no tolerance is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

Node = tuple[str, int]
_Open = dict[Node, dict[Node, None]]
"""Of each row and column, those across whose common entry is not whole, in a fixed order."""


def controlled_rounding(
    numerators: Int64[np.ndarray, "r c"], denominator: int, words: Iterator[int]
) -> Int64[np.ndarray, "r c"]:
    """The table `numerators / denominator` in whole numbers; `words` are 64 random bits each, one a cycle.

    The numerators must be at least 0.
    """
    values = _with_slack(numerators, denominator)
    open_entries = _open_entries(values, denominator)
    for node in list(open_entries):
        while open_entries[node]:
            cycle = _cycle(open_entries, node)
            _cancel(values, denominator, cycle, next(words))
            _close(open_entries, values, denominator, cycle)
    return np.array([row[:-1] for row in values[:-1]], np.int64).reshape(numerators.shape) // denominator


def _with_slack(numerators: Int64[np.ndarray, "r c"], denominator: int) -> list[list[int]]:
    """The table with one more row and column that make every sum whole."""
    rows = [[*row, -sum(row) % denominator] for row in numerators.tolist()]
    sums = [sum(column) for column in numerators.T.tolist()]
    return [*rows, [*(-one % denominator for one in sums), sum(sums) % denominator]]


def _open_entries(values: list[list[int]], denominator: int) -> _Open:
    entries: _Open = {("row", row): {} for row in range(len(values))}
    entries |= {("column", column): {} for column in range(len(values[0]))}
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if value % denominator:
                entries["row", row]["column", column] = None
                entries["column", column]["row", row] = None
    return entries


def _cycle(open_entries: _Open, start: Node) -> list[Node]:
    """Rows and columns in turn; whole sums never leave one entry alone in a row or column, so the walk goes on."""
    path, came_from = [start], None
    place = {start: 0}
    while True:
        node = next(one for one in open_entries[path[-1]] if one != came_from)
        if node in place:
            return path[place[node] :]
        came_from = path[-1]
        place[node] = len(path)
        path.append(node)


def _entries(cycle: list[Node]) -> Iterator[tuple[int, int]]:
    """(row, column) of the entries on a cycle, in its order."""
    for one, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
        (_, row), (_, column) = (one, other) if one[0] == "row" else (other, one)
        yield row, column


def _cancel(values: list[list[int]], denominator: int, cycle: list[Node], word: int) -> None:
    """Add to every second entry and take from the others, or the reverse, until one is whole."""
    entries = list(_entries(cycle))
    parts = [values[row][column] % denominator for row, column in entries]
    up = min(*(denominator - part for part in parts[::2]), *parts[1::2])
    down = min(*parts[::2], *(denominator - part for part in parts[1::2]))
    step = up if word * (up + down) < down << 64 else -down  # so that the expectation stays
    for number, (row, column) in enumerate(entries):
        values[row][column] += -step if number % 2 else step


def _close(open_entries: _Open, values: list[list[int]], denominator: int, cycle: list[Node]) -> None:
    for row, column in _entries(cycle):
        if values[row][column] % denominator == 0:
            del open_entries["row", row]["column", column]
            del open_entries["column", column]["row", row]
