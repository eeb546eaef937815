"""Models that come with the package, called by name: a folder of the package takes the place of the name.

The one place that knows them. Options that name a model resolve it when they are made, so that whatever reads them sees
a folder like any other; `./metaworld-small` is a folder of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "weights_shipped"
SHIPPED = ("metaworld-small",)
"""Names that take the place of a checkpoint folder."""


def resolved(name: str) -> str:
    """Return the folder of a shipped model, and any other name as it is."""
    return str(_FOLDER / name) if name in SHIPPED else name


def called(place: str) -> str:
    """Return the name of the folder of a shipped model, which another machine has elsewhere; any other as it is."""
    return next((name for name in SHIPPED if resolved(name) == place), place)


def shipped_folders() -> Iterator[Path]:
    """The folders of the shipped models."""
    return (_FOLDER / name for name in SHIPPED)


def resolve(options: Any, *fields: str) -> None:
    """Put folders in place of shipped names in the fields of frozen options; for `__post_init__`."""
    for field in fields:
        value = getattr(options, field)
        if value is not None:
            object.__setattr__(options, field, resolved(value))
