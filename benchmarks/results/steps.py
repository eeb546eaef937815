"""Steps with marks: a folder each, made once from what it is made from.

    workshop = Workshop(Path("outputs/results"))
    made = workshop.step("demo/seen/questions", {"seed": 7}, make, needs=[trajectories])

`make(folder)` fills the step's folder. When it returns, `step.json` beside the files says what they were made from (the
inputs, and the digests of the steps needed) and what they are (size and digest of each). A step whose inputs are the
same, and whose files are as they were left, is not run again; one that was interrupted goes on in its folder, since
the commands of the package do; one with other inputs begins in an empty folder. The code is no input, or every commit
would cost hours: its version is in the mark, and `figures` carries it to the page.

Cost: the digests of all files (XXH3) each time that a step is asked for, about 0.2 s for 1 GB.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import DataError
from rfm.files.documents.json_documents import LARGE, read_json_object
from rfm.files.lock import exclusive
from rfm.files.seal import digest
from rfm.files.staging import staged_file

logger = logging.getLogger(__name__)

MARK = "step.json"


class Made(NamedTuple):
    """What a step left."""

    folder: Path
    digest: str
    """Of all its files."""
    seconds: float | None = None
    """Of the run that finished it; an earlier one that was interrupted is not counted. None: not made here."""
    finished: str | None = None
    """Its date."""
    code: str | None = None
    """The version of the code."""


class Workshop:
    """A folder of steps, for one process at a time."""

    def __init__(self, folder: Path, code: str = "unknown") -> None:
        self.folder, self.code = folder, code
        self.made: dict[str, Made] = {}
        """All steps asked for, by name."""

    def alone(self) -> AbstractContextManager[None]:
        """Hold the folder; ConfigError where another process does."""
        return exclusive(self.folder, wait=False)

    def place(self, name: str) -> Path:
        """Where a step's files are going to be."""
        return self.folder / name

    def step(
        self, name: str, inputs: Mapping[str, Any], make: Callable[[Path], object], needs: Sequence[Made] = ()
    ) -> Made:
        """Return what the step made, now or before."""
        folder = self.place(name)
        source = {"inputs": _plain(inputs, self.folder), "needs": [one.digest for one in needs]}
        key = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()
        mark = _read_mark(folder)
        if mark.get("key") == key and mark.get("files") is not None and mark["files"] == _files(folder):
            self.made[name] = _made(folder, mark)
            return self.made[name]
        if mark.get("key") != key or mark.get("files") is not None:  # made from something else, or changed since
            shutil.rmtree(folder, ignore_errors=True)
        logger.info("step %s", name)
        begun = {"key": key, **source, "code": self.code, "files": None}
        folder.mkdir(parents=True, exist_ok=True)
        _write_mark(folder, begun)
        started = time.monotonic()
        make(folder)
        done = {
            **begun,
            "files": _files(folder),
            "seconds": round(time.monotonic() - started, 1),
            "finished": date.today().isoformat(),
        }
        _write_mark(folder, done)
        self.made[name] = _made(folder, done)
        return self.made[name]


def flags(options: Any) -> dict[str, Any]:
    """Return the options of a command that differ from its defaults: a flag that is new later changes no step."""
    named = [(one, getattr(options, one.name)) for one in fields(options)]
    return {one.name: value for one, value in named if value != one.default}


def _made(folder: Path, mark: Mapping[str, Any]) -> Made:
    content = hashlib.sha256(json.dumps(mark["files"], sort_keys=True).encode()).hexdigest()
    return Made(folder, content, mark["seconds"], mark["finished"], mark["code"])


def _files(folder: Path) -> dict[str, list[Any]]:
    """Return size and digest of each file by its name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MARK)
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, digest(path)] for path in paths}


def _read_mark(folder: Path) -> dict[str, Any]:
    """Return a step's mark, an empty one where it has none that can be read."""
    try:
        return read_json_object(folder / MARK, most=LARGE)
    except DataError:
        return {}


def _write_mark(folder: Path, mark: Mapping[str, Any]) -> None:
    with staged_file(folder / MARK) as staged:
        staged.write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")


def _plain(value: Any, folder: Path) -> Any:
    """Return inputs as JSON has them; paths below the workshop are the same wherever it lies."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one, folder) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, folder) for one in value]
    return value.replace(str(folder), "") if isinstance(value, str) else value
