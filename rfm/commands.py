"""The commands there are: those of the table, and adapters that other packages bring in.

A command's modules are imported when it runs, so `rfm generate` starts without torch.
"""

from __future__ import annotations

import importlib
import shutil
import textwrap
from collections.abc import Sequence
from importlib import metadata
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rfm.command_table import COMMANDS, GROUPS
from rfm.errors import ConfigError
from rfm.options.parser import WIDEST, did_you_mean

PACKAGE = "rfm-vqa"
"""What it is called where packages are installed from."""
_ADAPTERS = "rfm.ingest"
"""The group of entry points by which a package brings in `rfm ingest NAME` (rfm/ingest/adapters.py)."""


def options_of(name: tuple[str, ...]) -> Any:
    """The options of a command, whose modules need no torch; ConfigError where two packages bring it in."""
    return load(COMMANDS[name].options) if name in COMMANDS else _adapter(name).options


def function_of(name: tuple[str, ...]) -> Any:
    """The function of a command, which takes its options."""
    return load(COMMANDS[name].function) if name in COMMANDS else _adapter(name).run


def _adapter(name: tuple[str, ...]) -> Any:
    points = _adapters()[name[1]]
    if len(points) > 1:
        raise ConfigError(f"rfm {' '.join(name)} must come from one package, but is {_package(*points)}: keep one")
    return load("rfm.ingest.adapters:load_adapter")(points[0])


def brought_in(words: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Adapters of other packages and what is said of them; looked for only where `words` may mean one."""
    if words and words[0] != "ingest" and not words[0].startswith("-"):
        return {}
    return {("ingest", name): f"an adapter of {_package(*points)}" for name, points in _adapters().items()}


def _adapters() -> dict[str, list[EntryPoint]]:
    """What other packages bring in, by name; their code is not imported."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=_ADAPTERS):
        found.setdefault(point.name, []).append(point)
    return dict(sorted(found.items()))


def _package(*points: EntryPoint) -> str:
    return " and of ".join(sorted(f"{point.dist.name} {point.dist.version}" for point in points if point.dist))


def load(where: str) -> Any:
    """Import what is at `module:name`."""
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def overview(group: tuple[str, ...] = ()) -> str:
    """List the commands by what they are for, those of a group or all, with an example each time."""
    summaries = {name: command.summary for name, command in COMMANDS.items() if name[: len(group)] == group}
    for name, summary in brought_in(group).items():
        summaries[name] = f"{summary}, whose name is taken: it can't be called" if name in COMMANDS else summary
    width = max(len(" ".join(name)) for name in summaries)
    parts = ["rfm: vision-language reward models for robots\n"]
    for title, purpose in GROUPS.items():
        if listed := [name for name in summaries if _group(name) == title]:
            lines = [_entry(" ".join(name), summaries[name], width) for name in listed]
            example = COMMANDS[listed[0]].example
            parts.append("\n".join([f"{title}: {purpose}", *lines, f"  as in: {example}\n"]))
    parts.append("rfm COMMAND --help lists its flags, rfm --version says which version this is.\n")
    return "\n".join(parts)


def _group(name: tuple[str, ...]) -> str:
    return COMMANDS[name].group if name in COMMANDS else "trajectories"


def _entry(name: str, summary: str, width: int) -> str:
    first = f"  rfm {name:<{width}}  "
    columns = min(shutil.get_terminal_size().columns, WIDEST)
    return textwrap.fill(summary, columns, initial_indent=first, subsequent_indent=" " * len(first))


def closest(words: Sequence[str]) -> str:
    """Return a question for the command that may have been meant."""
    names = [" ".join(name) for name in (*COMMANDS, *brought_in(words))]
    wanted = " ".join(words[:2])
    return did_you_mean(wanted, names) or did_you_mean(words[0], [one for one in names if " " not in one])


def version() -> str:
    """The version of this package."""
    return metadata.version(PACKAGE)
