"""Command lines from option dataclasses: a field is a flag, its default the default, its metadata the help.

    num_samples: int = field(default=10000, metadata={"help": "…"})        --num_samples 10000
    bf16: bool = field(default=True, …)                                    --bf16, --no_bf16
    config_overrides: tuple[str, ...] = ()                                 --config_overrides a=1 b=2
    folder: str = field(metadata={"help": "…", "positional": True})        FOLDER
    folders: tuple[str, ...] = field(metadata={…, "positional": True})     FOLDERS [FOLDERS ...], one or more

`metadata["choices"]` limits the values; `metadata["const"]` is what the bare flag means; a flag with
`metadata["instead_of"]` makes the required flag of that name dispensable, which is then empty; one of several values
with `metadata["repeatable"]` takes one at a time, so that it may stand before positional ones: --task a --task b.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from rfm.errors import ConfigError

Options = TypeVar("Options")

_HUGE = 2**63


def parse_options(cls: type[Options], program: str, arguments: Sequence[str]) -> Options:
    """Parse `arguments` into `cls`; exits with a usage message (status 2) where they don't fit.

    Raises:
        ConfigError: `cls` itself refuses the values.

    """
    parser = argparse.ArgumentParser(prog=program, description=cls.__doc__, allow_abbrev=False)
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    replaced = _replaced(fields, arguments)
    for field in fields:
        _add(parser, field, hints[field.name], replaced)
    values = vars(parser.parse_args(arguments))
    empty = [field.name for field in fields if field.name not in replaced and _is_empty(values[field.name], field)]
    if empty:
        raise ConfigError("\n".join(f"`{name}` must not be empty; give it a value, or leave it out" for name in empty))
    if huge := [name for name, value in values.items() if isinstance(value, int) and abs(value) >= _HUGE]:
        raise ConfigError("\n".join(f"`{name}` must fit into 64 bits, but is {values[name]}" for name in huge))
    if odd := [name for name, value in values.items() if isinstance(value, float) and math.isnan(value)]:
        raise ConfigError("\n".join(f"`{name}` must be a number, but is nan" for name in odd))
    if odd := [name for name, value in values.items() if not _is_unicode(value)]:
        raise ConfigError(
            "\n".join(f"`{name}` must be UTF-8 text, but is {values[name]!a}; rename what it names" for name in odd)
        )
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _replaced(fields: Sequence[dataclasses.Field[Any]], arguments: Sequence[str]) -> set[str]:
    """Return the required flags that others among the arguments stand in for."""
    given = {argument.partition("=")[0] for argument in arguments}
    return {
        field.metadata["instead_of"]
        for field in fields
        if "instead_of" in field.metadata and f"--{field.name}" in given
    }


def _is_unicode(value: Any) -> bool:
    """Whether all texts can be written to files; bytes of file names that are no UTF-8 can't."""
    try:
        for text in value if isinstance(value, list) else [value]:
            str(text).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_empty(value: Any, field: dataclasses.Field[Any]) -> bool:
    """Whether a text was given that says nothing; as a path it would be the folder one happens to be in."""
    return (value == "" and field.default != "") or (isinstance(value, list) and "" in value)


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any, replaced: set[str]) -> None:
    required = field.default is dataclasses.MISSING
    kind, many = _kind(hint)
    text = field.metadata.get("help", "") + ("" if required else _shown_default(field.default))
    text = text.replace("%", "%%")
    if field.metadata.get("positional"):
        several: dict[str, Any] = {"nargs": "*" if field.name in replaced else "+"} if many else {}
        parser.add_argument(field.name, metavar=field.name.upper(), help=text, type=kind, **several)
        return
    if kind is bool:
        _add_switch(parser, field, text)
        return
    extra: dict[str, Any] = {"nargs": "*"} if many else {}
    if field.metadata.get("repeatable"):
        extra = {"action": _Repeated}
    if "const" in field.metadata:
        extra = {"nargs": "?", "const": field.metadata["const"]}
    if field.metadata.get("choices"):
        extra["choices"] = field.metadata["choices"]
    else:
        extra["metavar"] = kind.__name__.upper()
    default = "" if required else field.default
    must = required and field.name not in replaced
    parser.add_argument(f"--{field.name}", help=text, type=kind, required=must, default=default, **extra)


class _Repeated(argparse.Action):
    """Collects the values of a flag that is given several times; what is given takes the place of the default."""

    def __call__(self, parser: Any, namespace: Any, value: Any, flag: str | None = None) -> None:
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*(given if isinstance(given, list) else []), value])


def _add_switch(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], text: str) -> None:
    if field.default is False:
        parser.add_argument(f"--{field.name}", action="store_true", help=text)
        return
    parser.add_argument(f"--{field.name}", action="store_const", const=True, default=field.default, help=text)
    parser.add_argument(
        f"--no_{field.name}", dest=field.name, action="store_const", const=False, help="switch that off"
    )


def _kind(hint: Any) -> tuple[type, bool]:
    """Return the type of one value, and whether there may be several."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def _shown_default(default: Any) -> str:
    return "" if default is None or default == () or default is False else f" (default: {default})"
