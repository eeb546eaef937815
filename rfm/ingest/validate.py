"""`rfm validate`: whether a processed dataset is what its rows say, and what of it can be put right.

In: dataset keys under a root. Out: a fault a line (dataset, row, field, what is wrong), a count by field, and exit
status 1 where faults are left. Every frame is decoded unless `--headers_only`. `--fix num_frames,frames_shape` writes
these two columns anew from the files; everything else is reported and left alone. Memory: one episode's frames.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import workplace
from rfm.frames.alike.near_duplicates import near_duplicates
from rfm.frames.npz.file import check_checksums, npz_frames_shape
from rfm.frames.reader import frames_file, read_frames
from rfm.trajectories.catalog import resolve_root
from rfm.trajectories.other_tasks import from_column
from rfm.trajectories.record import (
    canonical_quality,
    dataset_folder,
    falls,
    is_relative_frames_path,
    named_progress,
    other_task_faults,
)
from rfm.trajectories.store import PROCESSED, read_columns, replace_columns

logger = logging.getLogger(__name__)

FIXABLE = ("num_frames", "frames_shape")
_COLUMNS = (
    "id", "task", "data_source", "quality_label", "partial_success", "frames", "frames_shape", "num_frames", "progress",
    "progress_by_task", "frame_times", "task_id",
)  # fmt: skip
_MOST_LISTED = 20
_AT_ONCE = 2**27
"""Bytes of frames that are decoded together."""


@dataclass(frozen=True)
class ValidateOptions:
    """Check processed datasets whole: readable frames, shapes, counts, labels, paths, near-duplicates."""

    datasets: tuple[str, ...] = field(metadata={"help": "Dataset keys", "positional": True})
    datasets_root: str | None = field(
        default=None, metadata={"help": "Folder of the datasets (default: $RFM_PROCESSED_DATASETS_PATH)"}
    )
    fix: str = field(default="", metadata={"help": f"Columns to write anew from the files: {','.join(FIXABLE)}"})
    headers_only: bool = field(default=False, metadata={"help": "Read files' headers and decode no frame"})
    near_duplicates: bool = field(default=True, metadata={"help": "Report episodes that show the same"})

    def __post_init__(self) -> None:
        unknown = [name for name in self.fixed if name not in FIXABLE]
        if unknown:
            raise ConfigError(f"`fix` must name columns among {', '.join(FIXABLE)}, but names `{unknown[0]}`")

    @property
    def fixed(self) -> tuple[str, ...]:
        """The columns to fix."""
        return tuple(name for name in self.fix.replace(" ", "").split(",") if name)


class Fault(NamedTuple):
    """What is wrong with a row; `fixed` where it was put right."""

    dataset: str
    id: str
    field: str
    text: str
    fixed: bool = False


def validate_command(options: ValidateOptions) -> int:
    """Run `rfm validate`; status 1 where faults are left."""
    root = resolve_root(options.datasets_root)
    if root is None:
        raise ConfigError("`datasets_root` must be known, but is not given; name the folder of the datasets")
    faults: list[Fault] = []
    for key in options.datasets:
        faults += validate(root, key, options)
    for fault in faults[:_MOST_LISTED]:
        logger.warning("%s, %s: %s%s", fault.dataset, fault.id, fault.text, " (fixed)" if fault.fixed else "")
    left = [fault for fault in faults if not fault.fixed]
    counts = ", ".join(f"{name} {count}" for name, count in Counter(fault.field for fault in left).most_common())
    logger.info(
        "%d faults, %d of them fixed%s", len(faults), len(faults) - len(left), f"; left: {counts}" if left else ""
    )
    return 1 if left else 0


def validate(root: Path, key: str, options: ValidateOptions) -> list[Fault]:
    """Check one dataset, and fix what was asked for, under the lock of whoever replaces it."""
    if not options.fixed:
        return _validated(root, key, options)
    with workplace(root / dataset_folder(key), "datasets"):
        return _validated(root, key, options)


def _validated(root: Path, key: str, options: ValidateOptions) -> list[Fault]:
    name = dataset_folder(key)
    folder = root / name
    if not (folder / PROCESSED).is_dir():
        raise ConfigError(f"`datasets` must name datasets under {root}, but `{key}` is none")
    rows = read_columns(folder, _COLUMNS).to_pylist()
    faults = list(_repeated(name, rows))
    shapes: dict[int, tuple[int, int, int, int]] = {}
    for at, row in enumerate(tracked(rows, f"validate {name}", len(rows))):
        faults += [Fault(name, str(row["id"]), *fault) for fault in _row_faults(root, row, at, shapes, options)]
    faults += [Fault(name, path.name, "frames", f"{path} is named by no row") for path in _orphans(root, folder, rows)]
    if options.near_duplicates:
        faults += _near(root, name, rows, shapes)
    wrong = [fault for fault in faults if fault.field in options.fixed]
    if wrong:
        _fix(folder, rows, shapes, options.fixed)
    return [fault._replace(fixed=fault in wrong) for fault in faults]


def _row_faults(
    root: Path,
    row: Mapping[str, Any],
    at: int,
    shapes: dict[int, tuple[int, int, int, int]],
    options: ValidateOptions,
) -> Iterator[tuple[str, str]]:
    """Yield (field, text) for each fault of a row; the true shape of a readable file goes to `shapes`."""
    for name in ("id", "task", "data_source"):
        if not (row[name] or "").strip():
            yield name, f"`{name}` must not be empty"
    try:
        canonical_quality(row["quality_label"], "the row")
    except DataError as error:
        yield "quality_label", str(error)
    success = row["partial_success"]
    if success is not None and not 0 <= success <= 1:
        yield "partial_success", f"`partial_success` must be in [0, 1] or null, but is {success}"
    try:
        shapes[at] = _true_shape(root, row["frames"] or "", options.headers_only)
    except DataError as error:
        yield "frames", str(error)
        return
    yield from _shape_faults(row, shapes[at])
    yield from _other_task_faults(row, shapes[at][0])


def _shape_faults(row: Mapping[str, Any], shape: tuple[int, int, int, int]) -> Iterator[tuple[str, str]]:
    if row["num_frames"] != shape[0]:
        yield "num_frames", f"`num_frames` must be {shape[0]}, as in {row['frames']}, but is {row['num_frames']}"
    if list(row["frames_shape"] or ()) != list(shape):
        yield (
            "frames_shape",
            f"`frames_shape` must be {list(shape)}, as in {row['frames']}, but is {row['frames_shape']}",
        )
    for name in ("progress", "frame_times"):
        values = row[name]
        if values is not None and len(values) != shape[0]:
            yield name, f"`{name}` must have one value a frame ({shape[0]}), but has {len(values)}"
        if values is not None and any(value is None or not 0 <= value <= 1 for value in values):
            yield name, f"`{name}` must be in [0, 1] at every frame, but is not"
        elif name == "frame_times" and values is not None and falls(values):
            yield name, "`frame_times` must never fall, but does"


def _other_task_faults(row: Mapping[str, Any], frames: int) -> Iterator[tuple[str, str]]:
    progress = from_column(row["progress_by_task"])
    if progress is None:
        return
    for fault in other_task_faults(progress, row["task"], row["task_id"]):
        yield "progress_by_task", fault
    for name, values in named_progress(progress):
        if values is not None and len(values) != frames:
            yield "progress_by_task", f"`{name}` must have one value a frame ({frames}), but has {len(values)}"


def _true_shape(root: Path, path: str, headers_only: bool) -> tuple[int, int, int, int]:
    if not is_relative_frames_path(path):
        raise DataError(f"`frames` must be a path relative to the datasets root, without `..`, but is `{path}`")
    file = frames_file(root, path)
    shape = npz_frames_shape(file)
    if not headers_only:
        check_checksums(file)
        step = max(1, _AT_ONCE // math.prod(shape[1:]))
        for start in range(0, shape[0], step):
            read_frames(root, path, np.arange(start, min(start + step, shape[0])))
    return shape


def _repeated(name: str, rows: list[dict[str, Any]]) -> Iterator[Fault]:
    for number, count in Counter(row["id"] for row in rows).items():
        if count > 1:
            yield Fault(name, str(number), "id", f"`id` must differ in every row, but is in {count}")


def _orphans(root: Path, folder: Path, rows: list[dict[str, Any]]) -> Iterator[Path]:
    named = {str(root / row["frames"]) for row in rows if row["frames"]}
    yield from (path for path in sorted((folder / "frames").glob("*.npz")) if str(path) not in named)


def _near(
    root: Path, name: str, rows: list[dict[str, Any]], shapes: dict[int, tuple[int, int, int, int]]
) -> list[Fault]:
    readable = sorted(shapes)
    if len(readable) < 2:
        return []
    counts = np.array([shapes[at][0] for at in readable])
    found = near_duplicates(root, [rows[at]["frames"] for at in readable], counts)
    faults = []
    for group in range(int(found.group.max()) + 1):
        members = [str(rows[readable[at]]["id"]) for at in np.flatnonzero(found.group == group)]
        if len(members) > 1:
            others = ", ".join(members[1:])
            faults.append(Fault(name, members[0], "near-duplicate", f"shows the same as {others}"))
    return faults


def _fix(
    folder: Path,
    rows: list[dict[str, Any]],
    shapes: dict[int, tuple[int, int, int, int]],
    names: tuple[str, ...],
) -> None:
    """Write the dataset anew with these columns as the files say; all other columns and their types stay."""
    values = {
        "num_frames": [shapes[at][0] if at in shapes else row["num_frames"] for at, row in enumerate(rows)],
        "frames_shape": [list(shapes[at]) if at in shapes else row["frames_shape"] for at, row in enumerate(rows)],
    }
    replace_columns(folder, {name: values[name] for name in names})
    logger.info("wrote %s of %s anew", " and ".join(names), folder.name)
