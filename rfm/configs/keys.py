"""The keys of the configuration as `experiment_configs` defines them: types, defaults, bounds, meanings."""

from __future__ import annotations

import ast
import inspect
import typing
from dataclasses import dataclass
from functools import cache

from rfm.configs.experiment_configs import BOUNDS, CHOICES, DataConfig


@dataclass(frozen=True)
class Key:
    """A key, as `--config_overrides` takes it."""

    name: str
    default: str
    """As it would be written."""
    values: str
    """The type, or the bounds, or the choices."""
    meaning: str


@cache
def keys() -> tuple[Key, ...]:
    """Return all keys in the order of their definition."""
    hints, defaults = typing.get_type_hints(DataConfig), vars(DataConfig())
    return tuple(
        Key(f"data.{name}", _written(defaults[name]), _values(name, hints[name]), meaning)
        for name, meaning in _meanings().items()
    )


def _meanings() -> dict[str, str]:
    """Return the text that stands under each field; Python itself forgets it."""
    body = ast.parse(inspect.getsource(DataConfig)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _values(name: str, hint: object) -> str:
    null = ", or null" if type(None) in typing.get_args(hint) else ""
    if name in BOUNDS:
        low, high = BOUNDS[name]
        return f"{_number(low)} to {_number(high)}{null}"
    if name in CHOICES:
        return ", ".join(CHOICES[name])
    kinds = {bool: "true, false", int: "whole number", float: "number", str: "text"}
    inner = next((one for one in typing.get_args(hint) if one is not type(None)), hint)
    if typing.get_origin(hint) is list:
        return f"list of {'numbers' if typing.get_args(hint)[0] is float else 'texts'}"
    return f"{kinds.get(inner, 'as the meaning says')}{null}"  # type: ignore[call-overload]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"
