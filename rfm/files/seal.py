"""Which checkpoints are whole: every file's size and digest, listed last.

A checkpoint is many files; a process can be killed at any byte of them, and a copy can lose or change some. Whoever
saves one calls `seal` when all is written: it flushes the files to disk and then puts their names, sizes and digests
into `checkpoint_files.json` in one step. What has no seal was interrupted; what is not as its seal says was damaged
afterwards. Files that are written anew later on (the model card) are not listed.

Cost: one fsync a file, and one pass of XXH3 (128 bits) over what was just written or is about to be read, about
0.2 s of processor time for 1 GB. It tells damage, not intent: who can change a file can change the list.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from xxhash import xxh3_128

from rfm.errors import DataError
from rfm.files.documents.json_documents import read_json_object
from rfm.files.documents.regular import MissingFileError
from rfm.files.staging import flush, staged_file

FILE_NAME = "checkpoint_files.json"
_WRITTEN_LATER = ("README.md",)
_BLOCK = 2**20


def seal(folder: Path) -> None:
    """Flush all files of a folder and list them; whoever sees the list sees all of them."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in (FILE_NAME, *_WRITTEN_LATER)
    )
    for path in files:
        flush(path)
    listed = {path.relative_to(folder).as_posix(): [path.stat().st_size, digest(path)] for path in files}
    with staged_file(folder / FILE_NAME) as staged:
        staged.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def fault(folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> str | None:
    """Return why a checkpoint is not whole, or None; only files whose name is `wanted` are looked at."""
    try:
        listed = read_json_object(folder / FILE_NAME)
    except MissingFileError:
        return f"it has no {FILE_NAME}, which is written last"
    except DataError as error:
        return f"its {FILE_NAME} is damaged: {error}"
    if not all(map(_is_entry, listed.values())):
        return f"its {FILE_NAME} is no list of sizes and digests"
    faults = (_fault(folder, name, *entry) for name, entry in listed.items() if wanted(name))
    return next((one for one in faults if one is not None), None)


def is_there(folder: Path) -> bool:
    """Whether a folder is sealed and holds every file of its seal in its size; no content is read, as `fault` does."""
    try:
        entries = read_json_object(folder / FILE_NAME)
    except DataError:
        return False
    return all(_is_entry(entry) and _fault_of_size(folder, name, entry[0]) is None for name, entry in entries.items())


def listed(folder: Path) -> frozenset[str] | None:
    """Return the names of the files that a sealed folder holds by right; None for a folder without a readable seal."""
    try:
        return frozenset((*read_json_object(folder / FILE_NAME), FILE_NAME, *_WRITTEN_LATER))
    except DataError:
        return None


def check(folder: Path, wanted: Callable[[str], bool]) -> None:
    """Raise `DataError` where files of a folder are not as they were sealed; a folder without a seal passes."""
    if not (folder / FILE_NAME).exists():
        return
    if reason := fault(folder, wanted):
        raise DataError(
            f"{folder} must be as it was saved, but {reason}; copy it again or take another checkpoint. If it was "
            f"changed on purpose, delete {FILE_NAME} in it to use it as it is"
        )


def digest(path: Path) -> str:
    """Return the XXH3 digest of a file, 32 hexadecimal digits."""
    hashed = xxh3_128()
    with path.open("rb") as opened:
        while block := opened.read(_BLOCK):
            hashed.update(block)
    return hashed.hexdigest()


def _is_entry(entry: object) -> bool:
    return isinstance(entry, list) and [type(one) for one in entry] == [int, str]


def _fault(folder: Path, name: str, size: int, hashed: str) -> str | None:
    if (fault := _fault_of_size(folder, name, size)) is not None:
        return fault
    return None if digest(folder / name) == hashed else f"{name} has other bytes than {FILE_NAME} says"


def _fault_of_size(folder: Path, name: str, size: int) -> str | None:
    path = folder / name
    if not path.is_file():
        return f"{name} is missing"
    if path.stat().st_size != size:
        return f"{name} must have {size} bytes, but has {path.stat().st_size}"
    return None
