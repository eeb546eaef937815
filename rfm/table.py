"""The tables that commands print: all of their words and numbers are there, however narrow the terminal.

A column gets at least its longest number and `LEAST` letters of its longest word. What room is left goes to what stands
beside numbers, as their intervals, then to all columns, the narrowest first. Where not even the least fits, each row is
written as lines of its own, with the columns' heads beside them: Rich alone would break words into columns of one
letter, and cut numbers short.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from rfm.console import plain, visible

LEAST = 11
"""Letters of a word that are never parted; longer words may go on below."""
_ENDLESS = 10_000


class _Spans(NamedTuple):
    """How wide a column is to be."""

    least: int
    with_interval: int
    """Where a number and what stands behind it are on one line."""
    whole: int


class FittedTable(Table):
    """A table in the house's form, which fits the console that it is printed on."""

    def __init__(self, title: str = "", *, show_header: bool = True) -> None:
        named = plain(title) if title else None
        super().__init__(title=named, box=SIMPLE, title_justify="left", pad_edge=False, show_header=show_header)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or its rows one below the other."""
        least, with_interval, whole = zip(*map(self._spans, self.columns), strict=True)
        natural = Measurement.get(console, options.update(width=_ENDLESS), self).maximum
        room = options.max_width - (natural - sum(whole))
        if room < sum(least):
            yield from self._below_each_other(options.max_width)
            return
        widths = _widened(_widened(least, with_interval, room), whole, room)
        fitted = copy.copy(self)
        fitted.columns = [
            replace(column, width=width, overflow="fold") for column, width in zip(self.columns, widths, strict=True)
        ]
        yield from Table.__rich_console__(fitted, console, options)

    def _spans(self, column: Column) -> _Spans:
        cells = list(map(_plain, column.cells))
        words = [_plain(column.header), *cells] if self.show_header else cells
        whole = _width(words)
        if column.no_wrap:
            return _Spans(whole, whole, whole)
        longest = max((cell_len(word) for one in words for word in one.split()), default=0)
        if column.justify != "right":
            return _Spans(min(longest, LEAST), min(longest, LEAST), whole)
        return _Spans(longest, max(longest, _width(cells)), whole)

    def _below_each_other(self, most: int) -> Iterator[Text | Table]:
        if self.title is not None:
            yield Text(_plain(self.title), style="table.title")
        head, *heads = [_plain(column.header) if self.show_header else "" for column in self.columns]
        width = min(_width(heads) + 2, most // 2)
        for row, cells in zip(self.rows, zip(*(column.cells for column in self.columns), strict=True), strict=True):
            name, *others = map(_plain, cells)
            yield Text(f"{head} {name}".strip() if name else "", style=row.style or "", overflow="fold")
            lines = Table.grid(Column(width=width, overflow="fold"), Column(overflow="fold"), padding=(0, 2))
            for title, cell in zip(heads, others, strict=True):
                if cell:
                    lines.add_row(Text(f"  {title}"), Text(cell), style=row.style)
            yield lines
        yield Text()


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else visible(str(cell))


def _width(words: Sequence[str]) -> int:
    return max((cell_len(line) for one in words for line in one.splitlines()), default=0)


def _widened(least: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """Return the columns' widths when the narrowest that wants more gets it, one letter after the other."""
    widths = list(least)
    for _ in range(min(room, sum(wanted)) - sum(least)):
        wanting = [at for at, width in enumerate(widths) if width < wanted[at]]
        widths[min(wanting, key=widths.__getitem__)] += 1
    return widths
