"""The reference of the command line: of each command its flags, as its options declare them."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from typing import Any

from rfm.command_table import COMMANDS
from rfm.commands import load

FOLDER = "reference/commands"
TABLE = "<!-- a table of them -->"
_NAMES = {str: "text", int: "whole number", float: "number", bool: "switch"}


def command_pages() -> dict[str, str]:
    """The text of each page, by its place."""
    return {f"{FOLDER}/{'-'.join(name)}.md": _page(name) for name in COMMANDS}


def command_table() -> str:
    """All commands, with links from the page beside their folder."""
    rows = "".join(
        f"| [`rfm {' '.join(name)}`](commands/{'-'.join(name)}.md) | {_cell(command.summary)} |\n"
        for name, command in COMMANDS.items()
    )
    return f"| Command | |\n|---|---|\n{rows}"


def _page(name: tuple[str, ...]) -> str:
    command = COMMANDS[name]
    options = load(command.options)
    hints = typing.get_type_hints(options)
    rows = "".join(_row(field, hints[field.name]) for field in dataclasses.fields(options))
    head = f"# rfm {' '.join(name)}\n\n{command.summary[0].upper()}{command.summary[1:]}.\n\n{_prose(options)}\n\n"
    return f"{head}| Flag | Default | Value | |\n|---|---|---|---|\n{rows}" if rows else head


def _prose(options: type) -> str:
    """The docstring."""
    return inspect.cleandoc(options.__doc__ or "")


def _row(field: dataclasses.Field[Any], hint: Any) -> str:
    about = field.metadata
    flag = field.name.upper() if about.get("positional") else f"--{field.name}"
    return (
        f"| `{flag}` | {_default(field)} | {_value(hint, about.get('choices'))} | {_cell(about.get('help') or '')} |\n"
    )


def _default(field: dataclasses.Field[Any]) -> str:
    made = field.default_factory
    value = field.default if made is dataclasses.MISSING else made()
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{' '.join(map(str, value)) if isinstance(value, tuple | list) else value}`"


def _value(hint: Any, choices: Any) -> str:
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    return " or ".join(dict.fromkeys(_kinds(hint)))


def _kinds(hint: Any) -> list[str]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [kind for part in typing.get_args(hint) if part is not types.NoneType for kind in _kinds(part)]
    if typing.get_origin(hint) in (tuple, list):
        return [f"{kind}, one or more" for kind in _kinds(typing.get_args(hint)[0])]
    return [_NAMES.get(hint, "text")]


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").replace("{", "&#123;")
