"""The terminal: results on standard output; progress, log lines and errors on standard error.

Where either is a file or a pipe, lines are whole: nothing is wrapped at 80 columns or padded to them.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")


@dataclass
class _Manner:
    """How the command that runs was asked to speak."""

    quiet: bool = False
    document: bool = False


_manner = _Manner()


@contextmanager
def manner(*, quiet: bool = False, document: bool = False) -> Iterator[None]:
    """Speak meanwhile without progress and messages (`quiet`), and in one JSON document in place of tables."""
    before = replace(_manner)
    _manner.quiet, _manner.document = quiet, document
    logger = logging.getLogger("rfm")
    level = logger.level
    logger.setLevel(logging.WARNING if quiet else level)
    try:
        yield
    finally:
        _manner.quiet, _manner.document = before.quiet, before.document
        logger.setLevel(level)


def is_quiet() -> bool:
    """Whether progress and messages are left out."""
    return _manner.quiet


def show(found: Callable[[], Any], tell: Callable[[], object]) -> None:
    """Print what a command found: as one JSON document where that was asked for, else as `tell` does."""
    if _manner.document:
        sys.stdout.write(json.dumps(found(), indent=2, ensure_ascii=False) + "\n")
    else:
        tell()


_NOISE: tuple[tuple[str, type[Warning]], ...] = (
    ("This DataLoader will create", UserWarning),  # four workers, as the specification wants, on two cores
    ("`is_gradient_checkpointing` is deprecated", FutureWarning),  # PEFT's way to ask
    (r"Glyph \d+ .* missing from font", UserWarning),  # pictures show boxes for letters that matplotlib's font lacks
)
"""Warnings of libraries that nobody who runs a command can do anything about."""
_NOISY_LOGGERS = (
    "bitsandbytes.backends.cpu.ops", "transformers.distributed.tensor_parallel", "transformers.utils.generic",
)  # fmt: skip
"""Likewise: a kernel for 4-bit products that PEFT's import asks the hub for, layers that no machines share, and that
what is computed again needs no cache."""


_BAR = 40
"""Columns of a bar."""
_WHOLE = 1000
"""Columns of what is no terminal, unless COLUMNS says otherwise."""


class PlainConsole(Console):
    """A console on which every string is words: nothing in them is markup, and nothing steers the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the words as they stand, with what can't be seen spelt out."""
        as_words = {"markup": False, "emoji": False, "highlight": False, "highlighter": None}
        return super().render_str(visible(text), **{**options, **as_words})


class _Lines(logging.Formatter):
    """Log lines in which nothing steers the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


@cache
def console() -> Console:
    """Return the console that all progress bars and log lines share, so that they don't overwrite each other."""
    return _console(stderr=True)


def results() -> Console:
    """Return the console of what a command was asked for: tables and findings, for a pipe as well."""
    return _console(stderr=False)


def _console(*, stderr: bool) -> Console:
    at = PlainConsole(stderr=stderr)
    return at if at.is_terminal or "COLUMNS" in os.environ else PlainConsole(stderr=stderr, width=_WHOLE)


def set_up_logging(level: int = logging.INFO) -> None:
    """Send the package's log lines to the console."""
    hush_libraries()
    logging.basicConfig(level=logging.WARNING, handlers=[_handler()])
    logging.getLogger("rfm").setLevel(level)


def hush_libraries() -> None:
    """Leave out what libraries say that nobody can do anything about."""
    for words, category in _NOISE:
        warnings.filterwarnings("ignore", words, category)
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


def _handler() -> logging.Handler:
    """Return Rich's lines for a terminal, plain ones for a file: Rich would pad those."""
    handler: logging.Handler
    if console().is_terminal:
        handler = RichHandler(console=console(), show_path=False, show_time=False, markup=False)
        handler.setFormatter(_Lines("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_Lines("%(levelname)s: %(message)s"))
    handler.addFilter(_is_unsaid)
    return handler


def _is_unsaid(record: logging.LogRecord) -> bool:
    """Whether no library has printed a record by a handler of its own: transformers' lines came twice."""
    library = logging.getLogger(record.name.partition(".")[0])
    return library.name == "rfm" or not library.handlers


class _Description(ProgressColumn):
    """What is going on, with words of data in it."""

    def render(self, task: Task) -> Text:
        return plain(task.description)


class _Rate(ProgressColumn):
    """Finished steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or (task.elapsed and task.completed / task.elapsed)
        return Text(f"{speed:,.1f}/s" if speed else "-/s")


def progress_bar(*, disable: bool = False, expand: bool = False) -> Progress:
    """Return a bar with description, count, rate, time spent and time left; `expand`: as wide as the terminal."""
    columns = (
        _Description(),
        BarColumn(None if expand else _BAR),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    off = disable or is_quiet()
    shown = Console(quiet=True) if off else console()  # rich 13 ends a bar that is off with an empty line
    return Progress(*columns, console=shown, disable=off, expand=expand)


def tracked(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Yield the items under a progress bar, which is not shown where there are none."""
    with progress_bar(disable=not total) as bar:
        yield from bar.track(items, total=total, description=description)


def plain(words: str, most: int = 200) -> Text:
    """Return words of data or of a model as one line for a table: nothing in them is markup, at most `most` letters."""
    return Text(one_line(words, most))


def one_line(words: str, most: int = 200) -> str:
    """Return words of data or of a model as one line of printable letters, at most `most`."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def visible(words: str) -> str:
    """Return words as they are, but letters that steer a terminal or can't be written spelt out: `\\x1b`.

    Lines and tabs stay. Spelt out are control characters, marks that turn the direction of reading, and half pairs.
    """
    if words.isprintable():
        return words
    return "".join(letter if letter.isprintable() or letter in "\n\t" else _spelt(letter) for letter in words)


def _spelt(letter: str) -> str:
    if unicodedata.category(letter) in ("Zs", "Zl", "Zp"):
        return " "
    return letter.encode("unicode_escape", "backslashreplace").decode()
