"""What recordings and models are called in tables and files: as short as tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_MOST_PARTS = 8


def tails(paths: Sequence[str]) -> list[str]:
    """Return the last parts of each path that tell them apart, two where there are; else whole paths."""
    for parts in range(2, _MOST_PARTS + 1):
        names = [str(Path(*Path(path).parts[-parts:])) for path in paths]
        if len({*names}) == len(names):
            return names
    return list(paths)
