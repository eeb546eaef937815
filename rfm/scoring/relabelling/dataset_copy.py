"""A copy of a dataset's folder for others to have: hard links for its files, and nothing that does not belong to it.

A link in the dataset may lead anywhere; what it leads to would lie in the copy that is going to be published. Links
within the dataset are followed, so that the copy has none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from rfm.errors import DataError
from rfm.ingest.reading import confined


def copy_dataset(source: Path, folder: Path, leave_out: Collection[str] = ()) -> None:
    """Fill `folder` with what lies in `source`, but for entries of these names; DataError as `check_copied`."""
    check_copied(source, leave_out)
    _fill(source, folder, leave_out)


def check_copied(source: Path, leave_out: Collection[str] = ()) -> None:
    """DataError for a link that leaves the dataset, leads nowhere or back to where it lies, and for what is no file."""
    _check(source, source, leave_out, (os.path.realpath(source),))


def _check(root: Path, place: Path, leave_out: Collection[str], above: tuple[str, ...]) -> None:
    for entry in _entries(place, leave_out):
        relative = entry.relative_to(root).as_posix()
        if entry.is_symlink():
            confined(root, relative, f"link {relative}")
        real = os.path.realpath(entry)
        if entry.is_dir():
            if real in above:
                raise DataError(f"link {entry} must not lead back to a folder that holds it, but leads to {real}")
            _check(root, entry, leave_out, (*above, real))
        elif not entry.is_file():
            raise DataError(f"{entry} must be a file or a folder, but is neither: {_fault(entry)}")


def _fault(entry: Path) -> str:
    return f"its link leads to {os.path.realpath(entry)}, which is none" if entry.is_symlink() else "remove it"


def _fill(place: Path, folder: Path, leave_out: Collection[str]) -> None:
    folder.mkdir(exist_ok=True)
    for entry in _entries(place, leave_out):
        if entry.is_dir():
            _fill(entry, folder / entry.name, leave_out)
        else:
            _link(os.path.realpath(entry), folder / entry.name)


def _entries(place: Path, leave_out: Collection[str]) -> list[Path]:
    return sorted(entry for entry in place.iterdir() if entry.name not in leave_out)


def _link(source: str, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
