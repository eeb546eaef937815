"""Command lines from option dataclasses: a field is a flag, its default the default, its metadata the help.

    num_samples: int = field(default=10000, metadata={"help": "…"})        --num_samples 10000
    bf16: bool = field(default=True, …)                                    --bf16, --no_bf16
    config_overrides: tuple[str, ...] = ()                                 --config_overrides a=1 b=2
    folder: str = field(metadata={"help": "…", "positional": True})        FOLDER

`metadata["choices"]` limits the values; `metadata["const"]` is what the bare flag means.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from rfm.errors import ConfigError

Options = TypeVar("Options")


def parse_options(cls: type[Options], program: str, arguments: Sequence[str]) -> Options:
    """Parse `arguments` into `cls`; exits with a usage message (status 2) where they don't fit.

    Raises:
        ConfigError: `cls` itself refuses the values.

    """
    parser = argparse.ArgumentParser(prog=program, description=cls.__doc__, allow_abbrev=False)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        _add(parser, field, hints[field.name])
    values = vars(parser.parse_args(arguments))
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any) -> None:
    required = field.default is dataclasses.MISSING
    kind, many = _kind(hint)
    text = field.metadata.get("help", "") + ("" if required else _shown_default(field.default))
    text = text.replace("%", "%%")
    if field.metadata.get("positional"):
        parser.add_argument(field.name, metavar=field.name.upper(), help=text, type=kind)
        return
    if kind is bool:
        _add_switch(parser, field, text)
        return
    extra: dict[str, Any] = {"nargs": "*"} if many else {}
    if "const" in field.metadata:
        extra = {"nargs": "?", "const": field.metadata["const"]}
    if field.metadata.get("choices"):
        extra["choices"] = field.metadata["choices"]
    else:
        extra["metavar"] = kind.__name__.upper()
    default = None if required else field.default
    parser.add_argument(f"--{field.name}", help=text, type=kind, required=required, default=default, **extra)


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
