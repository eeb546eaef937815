"""The reference of the command line and of the configuration, as options and keys declare themselves."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Sequence

from rfm.command_table import COMMANDS
from rfm.commands import load
from rfm.configs.keys import keys
from rfm.options.flags import Flag, flags_of, in_groups

FOLDER = "reference/commands"
_KINDS = {str: "text", int: "whole number", float: "number", bool: "switch"}


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


def key_table() -> str:
    """All keys of the configuration."""
    rows = "".join(
        f"| `{key.name.removeprefix('data.')}` | `{key.default}` | {_cell(key.values)} | {_cell(key.meaning)} |\n"
        for key in keys()
    )
    return f"| Key | Default | Values | |\n|---|---|---|---|\n{rows}"


def _page(name: tuple[str, ...]) -> str:
    command = COMMANDS[name]
    options = load(command.options)
    head = f"# rfm {' '.join(name)}\n\n{command.summary[0].upper()}{command.summary[1:]}.\n\n"
    head += f"{inspect.cleandoc(options.__doc__ or '')}\n\n```\n{command.example}\n```\n\n"
    return head + "\n".join(_flag_table(title, flags) for title, flags in in_groups(flags_of(options)).items())


def _flag_table(title: str, flags: Sequence[Flag]) -> str:
    rows = "".join(map(_row, flags))
    return f"## {title[0].upper()}{title[1:]}\n\n| Flag | Default | Value | |\n|---|---|---|---|\n{rows}"


def _row(flag: Flag) -> str:
    named = flag.name.upper() if flag.positional else f"--{flag.name}"
    about = _cell(flag.field.metadata.get("help") or "")
    return f"| `{named}` | {_default(flag)} | {_value(flag)} | {about} |\n"


def _default(flag: Flag) -> str:
    made = flag.field.default_factory
    value = flag.field.default if made is dataclasses.MISSING else made()
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{' '.join(map(str, value)) if isinstance(value, tuple | list) else value}`"


def _value(flag: Flag) -> str:
    if flag.choices:
        return ", ".join(f"`{choice}`" for choice in flag.choices)
    return f"{_KINDS.get(flag.kind, 'text')}{', one or more' if flag.many else ''}"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").replace("{", "&#123;")
