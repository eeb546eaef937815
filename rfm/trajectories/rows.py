"""The columns of processed datasets as checked arrays: what the catalog is built from.

Vectorised throughout; Python touches distinct values and odd rows only. Three outcomes for a row: usable; unreadable
(it contradicts itself, or its frame count is missing and the .npz can't tell), kept out and named with the reason;
or a fault of the whole dataset (unknown quality label, no id, path out of the root), which is a DataError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int8, Int32, Int64
from rich.progress import track

from rfm.errors import DataError
from rfm.trajectories.npz_header import npz_frames_shape
from rfm.trajectories.record import QUALITY_LABELS, UNKNOWN_QUALITY, is_relative_frames_path, quality_code
from rfm.trajectories.task_groups import encode

COLUMNS = (
    "id", "task", "task_id", "data_source", "quality_label", "is_robot", "partial_success", "frames", "frames_shape",
    "num_frames", "progress", "preference_group_id", "frame_times", "scene_id", "progress_by_task",
)  # fmt: skip
"""What the catalog reads of `store.SCHEMA`."""

_SLOW_COUNT = 2_000


@dataclass
class RowFaults:
    """Reasons why rows can't be used; the first one found of each row stands."""

    place: Callable[[int], str]
    reasons: dict[int, str]

    def mark(self, faulty: Bool[np.ndarray, "n"], reason: Callable[[int], str]) -> None:
        """Note `reason(row)` for the rows where `faulty`."""
        for row in np.flatnonzero(faulty).tolist():
            self.reasons.setdefault(row, reason(row))


def required_text(column: pa.StringArray, name: str, faults: RowFaults) -> pa.StringArray:
    """The column with nulls as empty text; rows where it is blank are faulty."""
    text = pc.fill_null(column, "")
    blank = pc.equal(pc.utf8_trim_whitespace(text), "")
    faults.mark(blank.to_numpy(zero_copy_only=False), lambda row: f"`{name}` must not be empty")
    return text


def checked_ids(column: pa.StringArray, place: Callable[[int], str]) -> pa.StringArray:
    """The ids, all set and all different."""
    blank = pc.equal(pc.fill_null(column, ""), "").to_numpy(zero_copy_only=False)
    if blank.any():
        raise DataError(f"`id` must be set in every row, but is empty in {place(int(np.flatnonzero(blank)[0]))}")
    distinct, code = encode(column)
    if len(distinct) < len(column):
        _raise_repeated(distinct, code, place)
    return column


def quality_codes(column: pa.StringArray, place: Callable[[int], str]) -> Int8[np.ndarray, "n"]:
    """-1 unknown, else the position in QUALITY_LABELS."""
    labels, code = encode(column)
    codes = [quality_code(label, place(int(np.argmax(code == at)))) for at, label in enumerate(labels.to_pylist())]
    codes.append(UNKNOWN_QUALITY)  # where `code` is -1
    of_label: Int8[np.ndarray, "labels"] = np.array(codes, dtype=np.int8)
    return np.take(of_label, code)


def partial_successes(
    column: pa.FloatArray, quality: Int8[np.ndarray, "n"], faults: RowFaults
) -> Float32[np.ndarray, "n"]:
    """NaN where unknown. Some MetaWorld exports carry 0 on successful rows: unknown as well."""
    values = pc.fill_null(column, np.nan).to_numpy(zero_copy_only=False).astype(np.float32)
    outside = ~np.isnan(values) & ((values < 0) | (values > 1))
    faults.mark(outside, lambda row: f"`partial_success` must be in [0, 1] or null, but is {values[row]}")
    successful = quality == QUALITY_LABELS.index("successful")
    return np.where(successful & (values == 0), np.float32("nan"), values)


def confined_paths(column: pa.StringArray, root: Path, place: Callable[[int], str]) -> pa.StringArray:
    """Paths relative to the root; absolute ones and ones with `..` only if they lie under it."""
    suspect = pc.match_substring_regex(column, r"^/|\.\.|\\").to_numpy(zero_copy_only=False)
    if not suspect.any():
        return column
    paths = column.to_pylist()
    for row in np.flatnonzero(suspect).tolist():
        paths[row] = _confined(paths[row], root, row, place)
    return pa.array(paths, pa.string())


def frame_shapes(
    shapes: pa.ListArray, num_frames: pa.Int32Array, paths: pa.StringArray, root: Path, faults: RowFaults
) -> Int32[np.ndarray, "n 4"]:
    """(T, H, W, C) of each row: the columns' where they are complete and agree, else the .npz header's."""
    result = np.zeros((len(paths), 4), dtype=np.int32)
    whole = pc.fill_null(pc.equal(pc.list_value_length(shapes), 4), False).to_numpy(zero_copy_only=False)
    result[whole] = pc.fill_null(pc.list_flatten(shapes.filter(pa.array(whole))), 0).to_numpy().reshape(-1, 4)
    counts = pc.fill_null(num_frames, 0).to_numpy(zero_copy_only=False)
    agree = (result.min(axis=1) >= 1) & (result[:, 0] == counts) & (result[:, 3] == 3)
    unsure = [row for row in np.flatnonzero(~agree).tolist() if row not in faults.reasons]
    for row in track(unsure, "Reading frame counts from .npz headers", disable=len(unsure) < _SLOW_COUNT):
        try:
            result[row] = npz_frames_shape(root / paths[row].as_py())
        except DataError as error:
            faults.reasons[row] = str(error)
    return result


def shares_by_frame(
    column: pa.ListArray, name: str, num_frames: Int32[np.ndarray, "n"], faults: RowFaults
) -> tuple[Int64[np.ndarray, "n+1"], Float32[np.ndarray, "p"]]:
    """Offsets and values of a ragged column of shares, one a frame; an empty segment where a row has none."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = pc.fill_null(pc.list_flatten(column), np.nan).to_numpy(zero_copy_only=False).astype(np.float32)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    faults.mark(
        (lengths > 0) & (lengths != num_frames),
        lambda row: f"`{name}` must have one value a frame ({num_frames[row]}), but has {lengths[row]}",
    )
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    outside = np.zeros(len(lengths), dtype=bool)
    outside[np.searchsorted(offsets, bad, side="right") - 1] = True
    faults.mark(outside, lambda row: f"`{name}` must be in [0, 1] at every frame, but is not")
    return offsets, values


def recorded_times(
    column: pa.ListArray, num_frames: Int32[np.ndarray, "n"], faults: RowFaults
) -> tuple[Int64[np.ndarray, "n+1"], Float32[np.ndarray, "p"]]:
    """Offsets and values of `frame_times`, which never fall within a row."""
    offsets, values = shares_by_frame(column, "frame_times", num_frames, faults)
    falls = np.flatnonzero(np.diff(values) < 0) + 1
    row = np.searchsorted(offsets, falls, side="right") - 1
    fallen = np.zeros(len(num_frames), dtype=bool)
    fallen[row[falls > offsets[row]]] = True  # not where the next row begins
    faults.mark(fallen, lambda row: "`frame_times` must never fall, but does")
    return offsets, values


def _confined(path: str, root: Path, row: int, place: Callable[[int], str]) -> str:
    """`path` relative to `root`, judged by its text; links are judged when frames are read."""
    if is_relative_frames_path(path):
        return path
    base = os.path.abspath(root)  # noqa: PTH100 - resolve() would follow links
    full = os.path.normpath(os.path.join(base, path))  # noqa: PTH118
    if not full.startswith(base + os.sep) or "\\" in path:
        raise DataError(
            f"`frames` in {place(row)} must lie under the datasets root {root}, but is `{path}`: "
            "name the root that holds it"
        )
    return Path(full).relative_to(base).as_posix()


def _raise_repeated(distinct: pa.StringArray, code: Int32[np.ndarray, "n"], place: Callable[[int], str]) -> None:
    repeated = int(np.argmax(np.bincount(code) > 1))
    first, second = np.flatnonzero(code == repeated)[:2].tolist()
    count = len(code) - len(distinct)
    raise DataError(
        f"`id` must differ in every row of the datasets loaded together, but `{distinct[repeated]}` is in "
        f"{place(first)} and in {place(second)} ({count} repeated in all)"
    )


def place_of_rows(keys: Sequence[str], sizes: Sequence[int]) -> Callable[[int], str]:
    """Names a row of the concatenated tables by its dataset and its place there."""
    starts = np.concatenate(([0], np.cumsum(sizes)))

    def place(row: int) -> str:
        at = int(np.searchsorted(starts, row, side="right")) - 1
        return f"row {row - int(starts[at])} of `{keys[at]}`"

    return place
