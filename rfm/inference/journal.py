"""Answers saved as they are given, so that an interrupted run goes on where it was.

A journal is a folder of append-only files, one a process, of one JSON line an answer: `{"key": …, "value": …}`. A batch
is one write. A process that was killed while it wrote leaves half a line, which is cut off when its file is opened
again, and costs its batch. Numbers are written with all their digits, so what is read equals what was computed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rfm.errors import DataError
from rfm.files.documents.json_documents import json_lines
from rfm.files.documents.regular import open_regular

logger = logging.getLogger(__name__)


class Journal:
    """Reads what all processes wrote, writes to the file of its own."""

    def __init__(self, folder: Path, rank: int = 0) -> None:
        if folder.exists() and not folder.is_dir():
            raise DataError(f"Saved answers must be a folder, but {folder} is a file; move it away")
        self.folder, self.file = folder, folder / f"{rank}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._saved: dict[str, Any] = {}
        for file in sorted(folder.glob("*.jsonl")):
            self._saved |= _read(file)
        _cut_half_a_line(self.file)

    def __len__(self) -> int:
        return len(self._saved)

    def get(self, key: str) -> Any | None:
        """Return what was saved under a key; None where nothing was."""
        return self._saved.get(key)

    def add(self, values: Mapping[str, Any]) -> None:
        """Save values, on disk before this returns; threads may save at the same time."""
        lines = "".join(json.dumps({"key": key, "value": value}) + "\n" for key, value in values.items())
        with self._lock, self.file.open("ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
            self._saved |= values

    def remove(self) -> None:
        """Delete the folder: its answers are in a results file now."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(file: Path) -> dict[str, Any]:
    saved: dict[str, Any] = {}
    whole = _whole_lines(file)
    for number, entry, fault in json_lines(file):
        if number > whole:
            logger.warning(
                "%s ends in half a line, written when its run was interrupted: that answer is asked again", file
            )
            break
        if fault is None and not (isinstance(entry, dict) and isinstance(entry.get("key"), str) and "value" in entry):
            fault = "must have `key` and `value`, but has not"
        if fault is not None:
            raise DataError(f"{file} line {number} {fault}; delete the file, and its answers are asked again")
        saved[entry["key"]] = entry["value"]
    return saved


def _whole_lines(file: Path) -> int:
    with open_regular(file) as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(2**20), b""))


def _cut_half_a_line(file: Path) -> None:
    if not file.is_file():
        return
    with file.open("rb+") as opened:
        content = opened.read()
        opened.truncate(content.rfind(b"\n") + 1)
