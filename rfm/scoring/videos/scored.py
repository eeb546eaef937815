"""What models said of recordings, and the files of it: a line a frame, as JSONL, CSV or parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from rfm.files.staging import staged_file
from rfm.scoring.records import Curve, Preference

BAND = (0.05, 0.95)
"""Shares of the probability below the ends of the band that tables, plots and files give."""
COLUMNS = pa.schema(
    [
        pa.field("video", pa.string()),
        pa.field("task", pa.string()),
        pa.field("model", pa.string()),
        pa.field("frame", pa.int64()),
        pa.field("seconds", pa.float64()),
        pa.field("progress", pa.float64()),
        pa.field("median", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("success", pa.bool_()),
        pa.field("leftover", pa.float64()),
    ]
)
"""`progress` is the expectation, `low` and `high` the ends of the band."""


class Scored(NamedTuple):
    """A recording's curves, by task and within that by model, each with the model's name."""

    name: str
    curves: tuple[tuple[str, Curve], ...]


class Judged(NamedTuple):
    """What a model said of a pair."""

    model: str
    pair: Preference


def told_apart(paths: Sequence[str]) -> list[str]:
    """Return the names of files, or whole paths where two are called alike."""
    names = [Path(path).name for path in paths]
    return names if len({*names}) == len({*paths}) else list(paths)


def names(scored: Scored) -> list[str]:
    """Return what tells the curves of a recording apart: the task, the model, or both."""
    models, tasks = ({*column} for column in zip(*((name, curve.task) for name, curve in scored.curves), strict=True))
    if len(models) == 1:
        return [curve.task for _, curve in scored.curves]
    return [name if len(tasks) == 1 else f"{name}: {curve.task}" for name, curve in scored.curves]


def write_lines(path: Path, scored: Sequence[Scored]) -> None:
    """Write all points, in the form that the path's ending says, whole or not at all."""
    rows = lines_of(scored)
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows, schema=COLUMNS), staged)
        elif path.suffix == ".csv":
            with staged.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, COLUMNS.names)
                writer.writeheader()
                writer.writerows(rows)
        else:
            staged.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def lines_of(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return all points of all curves."""
    return [row for one in scored for row in _rows(one)]


def _rows(scored: Scored) -> Iterator[dict[str, Any]]:
    for model, curve in scored.curves:
        low, high = (curve.quantile(share) for share in BAND)
        expected, median = curve.expected, curve.median
        for at, frame in enumerate(curve.frames.tolist()):
            yield {
                "video": scored.name,
                "task": curve.task,
                "model": model,
                "frame": frame,
                "seconds": None if curve.seconds is None else float(curve.seconds[at]),
                "progress": float(expected[at]),
                "median": float(median[at]),
                "low": float(low[at]),
                "high": float(high[at]),
                "success": bool(curve.success[at]),
                "leftover": float(curve.leftover[at]),
            }
