"""Options in YAML: read by `--options`, and written beside what a command made.

What is written names the values that differ from the defaults, and the others as comments, so that the file can be read
back and says all that held. It lies beside what was made, not in it: `data.options.yaml` beside `data`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import ConfigError, DataError
from rfm.files.documents.yaml_documents import read_yaml
from rfm.files.staging import staged_file
from rfm.options.flags import Flag
from rfm.options.parser import did_you_mean

logger = logging.getLogger(__name__)

_OUTPUTS = ("output_path", "output_dir", "output")
"""The flags that name what a command makes."""
_BEGIN = "# options of rfm "
_PLAIN = str.maketrans("-", "_")


def read_options(path: Path, program: str, flags: list[Flag]) -> dict[str, Any]:
    """Return the values of a file by the names of options.

    Raises:
        ConfigError: no such file, no mapping in YAML, an unknown name, or a value of another kind; all of them.

    """
    try:
        content = read_yaml(path)
    except DataError as error:
        raise ConfigError(f"`options` must be a YAML file, but {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"`options` must hold lines as in `seed: 7`, but {path} is a {type(content).__name__}")
    known = {flag.name: flag for flag in flags}
    named = {str(name).translate(_PLAIN): value for name, value in content.items()}
    faults = [_unknown(name, path, program, list(known)) for name in named if name not in known]
    values: dict[str, Any] = {}
    for name, value in named.items():
        if name not in known or value is None:
            continue
        try:
            values[name] = _value(known[name], value)
        except ValueError as error:
            faults.append(f"`{name}` in {path} must be {error}, but is {value!r}")
    if faults:
        raise ConfigError("\n".join(faults))
    return values


def _unknown(name: str, path: Path, program: str, known: list[str]) -> str:
    hint = did_you_mean(name, known) or f"{program} --help lists them"
    return f"{path} must name options of {program}, but has `{name}`; {hint}"


def _value(flag: Flag, value: Any) -> Any:
    """Return a value of YAML as the flag would have it; ValueError says what it must be."""
    if not flag.many:
        return _one(flag, value)
    return tuple(_one(flag, one) for one in (value if isinstance(value, list) else [value]))


def _one(flag: Flag, value: Any) -> Any:
    if flag.kind is bool:
        made = value if isinstance(value, bool) else None
        return _made(made, "true or false")
    if flag.kind is str:
        made = _made(value if isinstance(value, str) else None, "text: put it into quotes")
    else:
        made = _made(_number(flag.kind, value), "a whole number" if flag.kind is int else "a number")
    if flag.choices and made not in flag.choices:
        raise ValueError(f"one of {', '.join(flag.choices)}")
    return made


def _made(value: Any, rule: str) -> Any:
    if value is None:
        raise ValueError(rule)
    return value


def _number(kind: type, value: Any) -> Any:
    """Return a number; YAML takes 2e-5 for a text."""
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        return None
    try:
        return kind(value)
    except (TypeError, ValueError):
        return None


class Made(NamedTuple):
    """What a command makes, and how it was before."""

    before: dict[Path, tuple[int, ...]]
    """The places where it may be, the likeliest first."""

    @classmethod
    def of(cls, options: object, values: Mapping[str, Any]) -> Made:
        """What options make on this machine: what their property `made` says, else their flag for output."""
        named = [getattr(options, "made", None), *(values.get(name) for name in _OUTPUTS)]
        paths = [Path(one) for one in named if one and "://" not in str(one)]
        return cls({path: _times(path) for path in paths})

    def write_options(self, name: str, values: Mapping[str, Any], flags: list[Flag]) -> None:
        """Write the options beside what is there now, unless all is as it was before."""
        changed = [path for path, before in self.before.items() if _times(path) not in ((), before)]
        if not changed or os.environ.get("RANK", "0") != "0":
            return
        file = changed[0].absolute()
        file = file.with_name(f"{file.name}.options.yaml")
        try:
            if file.is_file() and not file.read_text(encoding="utf-8", errors="replace").startswith(_BEGIN):
                logger.warning("options are not written to %s, which is a file of another origin", file)
                return
            with staged_file(file) as staged:
                staged.write_text("\n".join(_lines(name, file, values, flags)) + "\n", encoding="utf-8")
        except OSError as error:
            logger.warning("options can't be written to %s: %s", file, error.strerror)


def _times(path: Path) -> tuple[int, ...]:
    """Return when a file, or a folder and what is in it, was changed; nothing where there is none."""
    try:
        below = sorted(path.iterdir()) if path.is_dir() else []
        return tuple(one.stat().st_mtime_ns for one in (path, *below))
    except (OSError, ValueError):  # a file of options may name what no path can be
        return ()


def _lines(name: str, file: Path, values: Mapping[str, Any], flags: list[Flag]) -> Iterator[str]:
    yield f"{_BEGIN}{name}, to read back: rfm {name} --options {file.name}"
    given = [flag.name for flag in flags if values[flag.name] != flag.field.default]
    yield from (f"{one}: {_yaml(values[one])}" for one in given)
    defaults = [flag for flag in flags if flag.name not in given and values[flag.name] not in (None, "", ())]
    if defaults:
        yield "# by default:"
        yield from (f"# {flag.name}: {_yaml(values[flag.name])}" for flag in defaults)


def _yaml(value: Any) -> str:
    """Return a value in JSON, which YAML reads."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
