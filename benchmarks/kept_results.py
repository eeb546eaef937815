"""Results of a benchmark, written as they come and not measured twice: for machines that are lent by the minute.

A file of JSON lines, one a result: what was asked for (`setting`), `where` it was measured (card, versions, a digest of
the code) and the result. A run that was cut off goes on from there; where any of these differs it is measured anew.
Failures are written too, but are no results: the next run tries them again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

HERE = Path(__file__).parent
ERROR = "error"


class KeptResults:
    """The results in a file; a line that was cut off while it was written is dropped."""

    def __init__(self, file: Path, where: Mapping[str, Any]) -> None:
        self.file, self.where = file, dict(where)
        self._found: dict[str, dict[str, Any]] = {}
        if file.exists():
            self._read()

    def find(self, setting: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the result of the same setting, measured in the same place; None where there is none."""
        return self._found.get(_key(setting, self.where))

    def add(self, setting: Mapping[str, Any], result: dict[str, Any]) -> None:
        """Write a result so that it is there whatever happens next."""
        entry = {"setting": dict(setting), "where": self.where, "result": result}
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._take(entry)

    def _read(self) -> None:
        data = self.file.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self.file, len(whole))
        for number, line in enumerate(whole.decode().splitlines(), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise SystemExit(
                    f"{self.file}, line {number}, must be a result of a benchmark, but is not: name another --output"
                ) from error

    def _take(self, entry: Mapping[str, Any]) -> None:
        if ERROR not in entry["result"]:
            self._found[_key(entry["setting"], entry["where"])] = entry["result"]


class Limit:
    """Seconds for the whole, counted from now; None: as long as it takes."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._begun = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begun

    @property
    def left(self) -> float:
        """Seconds that are left, 0 where none are."""
        return float("inf") if self.seconds is None else max(0.0, self.seconds - self.spent)

    @property
    def over(self) -> str:
        """What a part that was not begun or not finished says."""
        return f"not measured: the limit of {self.seconds:g} s is over"


class Parts:
    """How long each part of a run took, one after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, name: str) -> None:
        """Name the part that ends now."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def parts_line(seconds: Mapping[str, float]) -> str:
    """Return the parts and their sum for people."""
    each = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    return f"{sum(seconds.values()):.1f} s: {each}"


def machine() -> str:
    """Return the card's name, or the processor's."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.processor() or 'CPU'}, float32"


def where() -> dict[str, str]:
    """Return everything but the setting that a result depends on."""
    versions = {module.__name__: module.__version__ for module in (torch, transformers, peft)}
    return {"machine": machine(), "python": platform.python_version(), **versions, "code": _code()}


def _code() -> str:
    """Return a digest of the package and of the benchmarks."""
    digest = hashlib.sha256()
    for file in sorted([*(HERE.parent / "rfm").rglob("*.py"), *HERE.glob("*.py")]):
        digest.update(f"{file.relative_to(HERE.parent)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _key(setting: Mapping[str, Any], place: Mapping[str, Any]) -> str:
    return json.dumps([setting, place], sort_keys=True)
