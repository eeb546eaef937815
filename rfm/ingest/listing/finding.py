"""Files below a dataset's folder, each once and under a name of its own.

What a link within the folder leads to is found where it lies. One that leads out of it, a file that is none (a pipe, a
link to nothing) and a folder that may not be read are found with their fault, so that nothing is left out unsaid. Names
are paths from the folder on: file names alone repeat in every task's folder of common datasets.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from rfm.errors import DataError
from rfm.ingest.reading import confined

_DIGITS = re.compile(r"(\d+)")


class Found(NamedTuple):
    """A file, its path from the folder on without its ending, and why it can't be read, where that is known."""

    path: Path
    name: str
    fault: str = ""


def find_files(root: Path, wanted: Callable[[str], bool], short: Callable[[str], str] | None = None) -> list[Found]:
    """The files below `root` whose names are `wanted`, in natural order (`demo_2` before `demo_10`).

    `short` makes a file's name shorter, by default by its ending; where two become the same, both keep all of it.
    """
    faults = dict(_walk(root, wanted))
    paths = sorted(faults, key=lambda path: natural(path.relative_to(root).as_posix()))
    whole = [path.relative_to(root).as_posix() for path in paths]
    names = [_shortened(name, short or _without_ending) for name in whole]
    counts = Counter(names)
    return [
        Found(path, name if counts[name] == 1 else full, faults[path])
        for path, name, full in zip(paths, names, whole, strict=True)
    ]


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts numbers within names by their value."""
    parts = (part.lstrip("0") if part.isdecimal() else part for part in _DIGITS.split(name))
    return [(at % 2, len(part) if at % 2 else 0, part) for at, part in enumerate(parts)]


def _without_ending(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122


def _shortened(name: str, short: Callable[[str], str]) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{short(last) or last}"


def _walk(root: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[Path, str]]:
    """(path, fault) of each file; what a link within the folder leads to is found where it lies."""
    base = os.path.join(os.path.realpath(root), "")  # noqa: PTH118
    unreadable: list[OSError] = []
    by_link: set[str] = set()
    for folder, folders, files in os.walk(root, onerror=unreadable.append):
        for path in (Path(folder, name) for name in folders):
            to_all = path.is_symlink() and os.path.join(os.path.realpath(path), "") == base  # noqa: PTH118
            if path.is_symlink() and not to_all and (fault := _leads_out(path, root, "a folder")):
                yield path, fault
        for path in (Path(folder, name) for name in files if wanted(name)):
            real = os.path.realpath(path)
            if path.is_symlink() and real.startswith(base) and os.path.isfile(real):  # noqa: PTH113
                if wanted(os.path.basename(real)) or real in by_link:  # noqa: PTH119
                    continue
                by_link.add(real)
            yield path, _file_fault(path, root)
    for error in unreadable:
        yield Path(error.filename), f"{error.filename} must be open to this user, but is not ({error.strerror})"


def _file_fault(path: Path, root: Path) -> str:
    if path.is_symlink() and (fault := _leads_out(path, root, "a file")):
        return fault
    return "" if path.is_file() else f"{path} must be a file, but is none: a pipe, a device or a link to nothing"


def _leads_out(path: Path, root: Path, name: str) -> str:
    try:
        confined(root, str(path.relative_to(root)), name)
    except DataError as error:
        return f"{error}; give the folder that it leads to as PATH, or copy it here"
    return ""
