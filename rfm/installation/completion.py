"""`rfm completion`: a script for the shell, made by shtab from the same flags as the commands' own parsers.

It is made once and costs nothing at a press of the key. Folders and files are offered where a flag may name some.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rfm.command_table import COMMANDS
from rfm.commands import options_of
from rfm.errors import MissingExtraError
from rfm.installation.options import CompletionOptions
from rfm.options.flags import flags_of
from rfm.options.line import Common, Tables, made_parser

_FILES = (
    "path",
    "dir",
    "root",
    "folder",
    "file",
    "output",
    "dataset",
    "plot",
    "manifest",
    "options",
    "video",
    "result",
)


def completion(options: CompletionOptions) -> int:
    """Run `rfm completion`."""
    try:
        import shtab
    except ImportError as error:
        raise MissingExtraError("completion needs the package shtab: pip install 'rfm-vqa[completion]'") from error
    parser = whole_parser()
    for action in _actions(parser):
        if action.choices is None and action.nargs != 0 and any(word in action.dest for word in _FILES):
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's own attribute
    sys.stdout.write(shtab.complete(parser, shell=options.shell))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """Return a parser of all commands, groups of commands as commands with commands."""
    whole = argparse.ArgumentParser("rfm")
    whole.add_argument("--version", action="version", version="")
    below = whole.add_subparsers()
    groups: dict[str, Any] = {}
    for name, command in COMMANDS.items():
        place = below
        if len(name) > 1:
            if name[0] not in groups:
                groups[name[0]] = below.add_parser(name[0], help=f"rfm {name[0]}").add_subparsers()
            place = groups[name[0]]
        flags, common = flags_of(options_of(name)), flags_of(Tables if command.tables else Common)
        made = made_parser(f"rfm {' '.join(name)}", flags, common, {}, set(), description=None, example="")
        place.add_parser(name[-1], parents=[made], add_help=False, help=command.summary)
    return whole


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                found += _actions(one)
        else:
            found.append(action)
    return found
