"""Which checkpoints are whole: a list of every file's size, written last.

A checkpoint is many files, and a run can be killed at any byte of them. The Trainer writes them into their final folder
and deletes older checkpoints afterwards; `seal` goes in between: it flushes all files to disk and then puts their names
and sizes into `checkpoint_files.json` in one step. What has no seal, or is not as its seal says, was interrupted while
it was saved, copied or deleted, and is no place to go on from.

Cost: one fsync a file. Trade-off not taken: hashes, which would read gigabytes again to find what sizes already tell.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from rfm.errors import DataError
from rfm.files.documents import read_json_object
from rfm.files.regular import MissingFileError

FILE_NAME = "checkpoint_files.json"


def seal(folder: Path) -> None:
    """Flush all files of a folder and list them; whoever sees the list sees all of them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE_NAME)
    for path in files:
        _flush(path)
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    partial = folder / f"{FILE_NAME}.partial"
    partial.write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
    _flush(partial)
    partial.replace(folder / FILE_NAME)
    _flush(folder)


def fault(folder: Path) -> str | None:
    """Return why a checkpoint is not whole, or None."""
    try:
        sizes = read_json_object(folder / FILE_NAME)
    except MissingFileError:
        return f"it has no {FILE_NAME}, which is written last"
    except DataError as error:
        return f"its {FILE_NAME} is damaged: {error}"
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} must have {size} bytes, but has {path.stat().st_size}"
    return None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
