"""A field of an option dataclass is a flag, its default the default, its metadata the help.

    num_samples: int = field(default=10000, metadata={"help": "…"})        --num_samples 10000
    bf16: bool = field(default=True, …)                                    --bf16, --no_bf16
    config_overrides: tuple[str, ...] = ()                                 --config_overrides a=1 b=2
    folder: str = field(metadata={"help": "…", "positional": True})        FOLDER
    folders: tuple[str, ...] = field(metadata={…, "positional": True})     FOLDERS [FOLDERS ...], one or more

`metadata["choices"]` limits the values; `metadata["const"]` is what the bare flag means; a flag with
`metadata["instead_of"]` makes the required flag of that name dispensable, which is then empty; one of several values
with `metadata["repeatable"]` takes one at a time, so that it may stand before positional ones: --task a --task b.
Which group of the help a flag stands in is said by `groups`.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from rfm.options.groups import ARGUMENTS, FEW, OPTIONS, TITLES, group_of

_LONGEST_CHOICES = 28
"""Letters of choices that stand behind their flag; more stand in its help."""


class Flag(NamedTuple):
    """A field, and what its type says."""

    field: dataclasses.Field[Any]
    kind: type
    """Of one value."""
    many: bool

    @property
    def name(self) -> str:
        """Of the field."""
        return self.field.name

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.field.default is dataclasses.MISSING

    @property
    def positional(self) -> bool:
        """Whether its values are given without a flag."""
        return bool(self.field.metadata.get("positional"))

    @property
    def choices(self) -> tuple[str, ...]:
        """The values it may have; none: any."""
        return tuple(self.field.metadata.get("choices") or ())


def flags_of(cls: type) -> list[Flag]:
    """Return the flags of an option dataclass in the order of its fields."""
    hints = typing.get_type_hints(cls)
    return [Flag(field, *_kind(hints[field.name])) for field in dataclasses.fields(cls)]  # type: ignore[arg-type]


def add_flags(
    parser: argparse.ArgumentParser,
    flags: Sequence[Flag],
    given: Mapping[str, Any],
    replaced: Collection[str] = (),
    title: str | None = None,
) -> argparse.ArgumentParser:
    """Add flags, under a title or by their groups; `given` are defaults, and what is `replaced` need not be there."""
    for name, some in ({title: flags} if title else in_groups(flags)).items():
        group = parser.add_argument_group(name)
        for flag in some:
            _add(group, flag, given, flag.required and flag.name not in replaced)
    return parser


def in_groups(flags: Sequence[Flag]) -> dict[str, list[Flag]]:
    """Return the flags of a command by the titles of their groups, as its help has them."""
    few = sum(not flag.positional for flag in flags) <= FEW
    found: dict[str, list[Flag]] = {title: [] for title in TITLES}
    for flag in flags:
        found[ARGUMENTS if flag.positional else OPTIONS if few else group_of(flag.name)].append(flag)
    return {title: some for title, some in found.items() if some}


def _add(group: argparse._ArgumentGroup, flag: Flag, given: Mapping[str, Any], must: bool) -> None:
    must = must and flag.name not in given
    default = given.get(flag.name, "" if flag.required else flag.field.default)
    extra: dict[str, Any] = {"help": _help(flag), "default": default}
    if flag.kind is bool:
        off = [] if default is False else [f"--no_{flag.name}"]
        group.add_argument(f"--{flag.name}", *off, action=_Switch, nargs=0, **extra)
        return
    extra |= {"type": flag.kind, "metavar": flag.kind.__name__.upper()}
    if flag.choices:
        shown = f"{{{','.join(flag.choices)}}}"
        extra |= {"choices": flag.choices, "metavar": shown if len(shown) <= _LONGEST_CHOICES else "NAME"}
    if flag.positional:
        several = "+" if must else "*"
        extra |= {"metavar": flag.name.upper(), "nargs": several if flag.many else None if must else "?"}
        group.add_argument(flag.name, **extra)
        return
    if "const" in flag.field.metadata:
        extra |= {"nargs": "?", "const": flag.field.metadata["const"]}
    elif flag.field.metadata.get("repeatable"):
        extra["action"] = _Repeated
    elif flag.many:
        extra["nargs"] = "*"
    group.add_argument(f"--{flag.name}", required=must, **extra)


class _Switch(argparse.Action):
    """A flag without a value; as --no_… it means no."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        setattr(namespace, self.dest, not (option or "").startswith("--no_"))


class _Repeated(argparse.Action):
    """Collects the values of a flag that is given several times; what is given takes the place of the default."""

    def __call__(self, parser: Any, namespace: Any, value: Any, flag: str | None = None) -> None:
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*(given if isinstance(given, list) else []), value])


def _kind(hint: Any) -> tuple[type, bool]:
    """Return the type of one value, and whether there may be several."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def _help(flag: Flag) -> str:
    text = flag.field.metadata.get("help", "")
    if flag.choices and (flag.positional or len(",".join(flag.choices)) + 2 > _LONGEST_CHOICES):
        text += f": {', '.join(flag.choices)}"
    if flag.required and not flag.positional:
        text += " (required)" if "(required)" not in text else ""
    elif not flag.required:
        text += _shown_default(flag.field.default)
    return text.replace("%", "%%")


def _shown_default(default: Any) -> str:
    if default in (None, "", ()) or default is False:
        return ""
    shown = {True: "on"}.get(default, default) if isinstance(default, bool) else default
    return f" (default: {' '.join(map(str, shown)) if isinstance(shown, tuple) else shown})"
