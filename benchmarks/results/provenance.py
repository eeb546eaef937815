"""Where figures come from: what a checkpoint remembers of its training, how long steps took, with which code."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import safe_open

import rfm
from benchmarks.results.steps import Made, Workshop
from rfm.batch.input_format import InputFormat
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.export.training_record import read_record

VERSIONS = ("torch", "transformers", "datasets", "numpy")


def training_of(checkpoint: Path) -> list[str]:
    """Return what a checkpoint remembers of its training, a line each."""
    record, form = read_record(checkpoint), InputFormat.load(checkpoint)
    weights = sum(math.prod(load.get_slice(name).get_shape()) for load, name in _tensors(checkpoint))
    lines = [f"{weights:,} weights"]
    if record.data:
        counts = ", ".join(f"{count['total']} {kind}" for kind, count in (record.data.get("counts") or {}).items())
        lines.append(f"last training set: {record.data['rows']} questions ({counts})")
        lines += [f"content hash of its rows: `{record.data['content_hash']}`"] if "content_hash" in record.data else []
        hashes = record.data.get("source_hashes") or {}
        lines += [f"trajectories `{name}`: `{value}`" for name, value in hashes.items()]
    if form is not None:
        size = f"{form.resized_height} x {form.resized_width}" if form.resized_height else "as stored"
        lines.append(f"shown: up to {form.max_frames} frames of a clip, {size}")
    return lines


def _tensors(checkpoint: Path) -> Iterator[tuple[Any, str]]:
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(path, "numpy") as opened:
            yield from ((opened, name) for name in opened.keys())  # noqa: SIM118


def record(workshop: Workshop, prefixes: Sequence[str]) -> Numbers:
    """Return how long the steps of a part took, and with which code and versions."""
    made = {name: one for name, one in workshop.made.items() if name.startswith(tuple(prefixes))}
    parts: dict[str, list[Made]] = {}
    for name, one in made.items():
        parts.setdefault("/".join(name.split("/")[:2]), []).append(one)
    return {
        "times": list(_times(parts)),
        "codes": sorted({one.code for one in made.values() if one.code is not None}),
        "versions": {name: version(name) for name in VERSIONS},
    }


def _times(parts: Mapping[str, Sequence[Made]]) -> Iterator[Numbers]:
    """Yield for each part of the run how many steps it had, their minutes and the last date."""
    for part, made in parts.items():
        seconds = [one.seconds for one in made if one.seconds is not None]
        finished = [one.finished for one in made if one.finished is not None]
        if seconds:
            yield {
                "part": part,
                "steps": len(seconds),
                "minutes": round(sum(seconds) / 60, 1),
                "finished": max(finished),
            }


def code_version() -> str:
    """Return the last commit that changed the package; "unknown" outside a clone."""
    found = subprocess.run(
        ["git", "-C", str(Path(rfm.__file__).parent), "log", "-1", "--format=%h", "--abbrev=12", "."],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() or "unknown"
