"""What a command was told: by its flags, by a file of options, by defaults, in this order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from rfm.errors import ConfigError
from rfm.options.documents import read_options
from rfm.options.flags import Flag, add_flags, flags_of
from rfm.options.groups import COMMON
from rfm.options.parser import OptionsParser

Options = TypeVar("Options")

_HUGE = 2**63


@dataclass(frozen=True)
class Common:
    """What every command can be told."""

    json = False

    options: str | None = field(
        default=None,
        metadata={"help": "YAML file of flags, as in `seed: 7`; what is given here wins"},
    )
    quiet: bool = field(default=False, metadata={"help": "Leave out progress and messages; warnings and errors stay"})


@dataclass(frozen=True)
class Tables(Common):
    """What a command can be told that prints tables."""

    json: bool = field(default=False, metadata={"help": "Print one JSON document instead of tables"})


@dataclass(frozen=True)
class Line(Generic[Options]):
    """A command line that was understood."""

    options: Options
    common: Common
    values: dict[str, Any]
    """What the options were made of, by names."""
    words: list[str]
    """What was typed, with flags as they are called."""


def parsed_line(
    cls: type[Options], program: str, arguments: Sequence[str], *, tables: bool = False, example: str = ""
) -> Line[Options]:
    """Parse `arguments` into `cls`; exits with a usage message (status 2) where they don't fit.

    Raises:
        ConfigError: `cls` itself refuses the values, or a file of options has others than `cls`.

    """
    flags, common = flags_of(cls), flags_of(Tables if tables else Common)
    given = _from_file(program, arguments, flags, common)
    replaced = _replaced(flags, arguments, given)
    parser = made_parser(program, flags, common, given, replaced, description=cls.__doc__, example=example)
    parsed = vars(parser.parse_args(arguments))
    told = (Tables if tables else Common)(**{one.name: parsed.pop(one.name) for one in common})
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in parsed.items()}
    _check(values, flags, replaced)
    try:
        return Line(cls(**values), told, values, parser.words)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def made_parser(
    program: str,
    flags: list[Flag],
    common: list[Flag],
    given: Mapping[str, Any],
    replaced: set[str],
    *,
    description: str | None,
    example: str,
) -> OptionsParser:
    """Return the parser of one command."""
    parser = OptionsParser(program, description, example)
    add_flags(parser, flags, given, replaced)
    add_flags(parser, common, {}, title=COMMON)
    parser._action_groups[-1].add_argument("-h", "--help", action="help", help="Show this and end")
    return parser


def _from_file(program: str, arguments: Sequence[str], flags: list[Flag], common: list[Flag]) -> dict[str, Any]:
    """Return what the file says that `--options` names; nothing without one."""
    first = OptionsParser(program)
    add_flags(first, common, {}, title=COMMON)
    path = first.parse_known_args(first.spelt(arguments))[0].options if _names_file(arguments) else None
    return {} if path is None else read_options(Path(path), program, flags)


def _names_file(arguments: Sequence[str]) -> bool:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return any(word.partition("=")[0] == "--options" for word in arguments[:end])


def _replaced(flags: list[Flag], arguments: Sequence[str], given: Mapping[str, Any]) -> set[str]:
    """Return the required flags that others among the arguments stand in for."""
    words = {argument.partition("=")[0].replace("-", "_") for argument in arguments}
    return {
        flag.field.metadata["instead_of"]
        for flag in flags
        if "instead_of" in flag.field.metadata and (f"__{flag.name}" in words or flag.name in given)
    }


def _check(values: Mapping[str, Any], flags: list[Flag], replaced: set[str]) -> None:
    """Refuse what is no value of any flag."""
    empty = [one.name for one in flags if one.name not in replaced and _is_empty(values[one.name], one.field)]
    if empty:
        raise ConfigError("\n".join(f"`{name}` must not be empty; give it a value, or leave it out" for name in empty))
    if huge := [name for name, value in values.items() if isinstance(value, int) and abs(value) >= _HUGE]:
        raise ConfigError("\n".join(f"`{name}` must fit into 64 bits, but is {values[name]}" for name in huge))
    if odd := [name for name, value in values.items() if isinstance(value, float) and math.isnan(value)]:
        raise ConfigError("\n".join(f"`{name}` must be a number, but is nan" for name in odd))
    if odd := [name for name, value in values.items() if not _is_unicode(value)]:
        raise ConfigError(
            "\n".join(
                f"`{name}` must be UTF-8 text, but is {_ascii(values[name])}; rename what it names" for name in odd
            )
        )


def _ascii(value: Any) -> str:
    return f"{list(value) if isinstance(value, tuple) else value!a}"


def _is_unicode(value: Any) -> bool:
    """Whether all texts can be written to files; bytes of file names that are no UTF-8 can't."""
    try:
        for text in value if isinstance(value, tuple) else [value]:
            str(text).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_empty(value: Any, option: dataclasses.Field[Any]) -> bool:
    """Whether a text was given that says nothing; as a path it would be the folder one happens to be in."""
    return (value == "" and option.default != "") or (isinstance(value, tuple) and "" in value)
