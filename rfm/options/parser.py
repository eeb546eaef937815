"""The parser of one command: short usage, help in colours on a terminal, and words that are close to what was meant.

Flags are known by both spellings, `--max_frames` and `--max-frames`. The help is laid out by argparse, and coloured
afterwards, so that it is the same in a terminal and in a file.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, NoReturn

from rich.text import Text

from rfm.console import results

WIDEST = 110
"""Columns of a help; longer lines are hard to read."""
_ENDLESS = 10_000
_FLAGS = 34
"""Columns of the flags beside their explanations."""
_COLOURS = (
    (r"(?m)^usage:|^[^\s:][^:\n]*:$", "bold"),
    (r"(?m)(?<=[\s\[(,])--?\w[\w-]*", "cyan"),
    (r"(?<= )(?:STR|INT|FLOAT|NAME|FILE)\b", "green"),
    (r"\(default: [^)]*\)|\(required\)", "dim"),
    (r"(?m)^  rfm .*$", "green"),
)


class OptionsParser(argparse.ArgumentParser):
    """An argument parser in the house's form."""

    def __init__(self, program: str, description: str | None = None, example: str = "") -> None:
        width = _width()
        super().__init__(
            prog=program,
            description=description,
            epilog=f"example:\n  {example}" if example else None,
            allow_abbrev=False,
            add_help=False,
            formatter_class=partial(argparse.HelpFormatter, max_help_position=min(_FLAGS, width // 3), width=width),
        )
        self.color = False  # Python 3.14 would colour it too
        self.words: list[str] = []

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse words of both spellings."""
        self.words = self.spelt(args)
        return super().parse_args(self.words, namespace)

    def spelt(self, words: Sequence[str]) -> list[str]:
        """Return the words with flags as they are called: `--max-frames` is `--max_frames`."""
        end = words.index("--") if "--" in words else len(words)
        return [*map(self._spelt, words[:end]), *words[end:]]

    def _spelt(self, word: str) -> str:
        flag, separator, value = word.partition("=")
        called = f"--{flag[2:].replace('-', '_')}"
        return f"{called}{separator}{value}" if word.startswith("--") and called in self.called else word

    @property
    def called(self) -> list[str]:
        """The flags that there are."""
        return [one for one in self._option_string_actions if one.startswith("--")]

    def format_usage(self) -> str:
        """Say what must be given; what may be is a list too long to read."""
        formatter = argparse.HelpFormatter(self.prog, width=_ENDLESS)
        formatter.add_usage(None, [one for one in self._actions if one.required or not one.option_strings], [])
        usage = f"{formatter.format_help().rstrip()} [--FLAG ...]"
        return textwrap.fill(usage, _width(), subsequent_indent=" " * 11, break_on_hyphens=False) + "\n"

    def format_help(self) -> str:
        """Return the help: usage, what the command does, flags by groups, an example."""
        formatter = self._get_formatter()
        formatter.add_text(self.description)
        for group in self._action_groups:
            if group._group_actions:
                formatter.start_section(group.title)
                formatter.add_arguments(group._group_actions)
                formatter.end_section()
        parts = (self.format_usage(), formatter.format_help(), self.epilog or "")
        return "\n".join(filter(None, parts)).rstrip() + "\n"

    def print_help(self, file: Any = None) -> None:
        """Print the help, in colours on a terminal."""
        show_help(self.format_help())

    def error(self, message: str) -> NoReturn:
        """End with status 2, saying what is wrong and what may have been meant."""
        meant = [text for word in self.words if (text := self._meant(word))]
        hint = f"; {', '.join(meant)}" if meant else ""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {message}{hint}\n{self.prog} --help lists the flags\n")

    def _meant(self, word: str) -> str:
        flag = word.partition("=")[0]
        if not word.startswith("--") or flag in self.called or word == "--":
            return ""
        return did_you_mean(flag, self.called)


def _width() -> int:
    return min(shutil.get_terminal_size().columns, WIDEST)


def show_help(text: str) -> None:
    """Print a help on standard output, in colours where that is a terminal."""
    if not results().is_terminal:
        sys.stdout.write(text)
        return
    shown = Text(text)
    for pattern, style in _COLOURS:
        shown.highlight_regex(pattern, style)
    results().print(shown, soft_wrap=True, end="")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question for what was meant by an unknown word; nothing where nothing is close."""
    close = get_close_matches(word.replace("-", "_"), {one.replace("-", "_"): one for one in known}, 1)
    return f"did you mean {next(one for one in known if one.replace('-', '_') == close[0])}?" if close else ""
