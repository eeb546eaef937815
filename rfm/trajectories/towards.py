"""What is recorded of each trajectory's progress towards other tasks than its own: `progress_by_task`.

Entries are (trajectory, task) with one value in [0, 1] a frame, sorted by trajectory. Tasks that no row of the catalog
has are left out, since nothing can be asked about them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int32, Int64

from rfm.trajectories.record import normalise_task
from rfm.trajectories.segments import take_segments


@dataclass(frozen=True, eq=False)
class Towards:
    """k entries; `values[offsets[e]:offsets[e + 1]]` is the progress of entry e's frames."""

    trajectory: Int64[np.ndarray, "k"]
    task: Int32[np.ndarray, "k"]
    """A code of `Catalog.tasks`, never the trajectory's own."""
    offsets: Int64[np.ndarray, "k+1"]
    values: Float32[np.ndarray, "p"]

    def __len__(self) -> int:
        return len(self.task)

    def curve(self, entry: int) -> Float32[np.ndarray, " f"]:
        """The progress of one entry's frames."""
        return self.values[self.offsets[entry] : self.offsets[entry + 1]]

    def select(self, at: Int64[np.ndarray, "m"], rows: int, task_codes: Int32[np.ndarray, "t"]) -> Towards:
        """The entries of `rows` trajectories' rows `at` in their new numbers, by old task's new code (-1: gone)."""
        first = np.searchsorted(self.trajectory, np.arange(rows))
        past = np.searchsorted(self.trajectory, np.arange(rows), side="right")
        held = (past - first)[at]
        entry = np.repeat(first[at] - np.concatenate(([0], np.cumsum(held)[:-1])), held) + np.arange(held.sum())
        trajectory = np.repeat(np.arange(len(at)), held)
        return self._take(entry, trajectory, task_codes[self.task[entry]])

    def _take(self, entry: np.ndarray, trajectory: np.ndarray, task: np.ndarray) -> Towards:
        kept = task >= 0
        offsets, values = take_segments(self.offsets, self.values, entry[kept].astype(np.int64))
        return Towards(trajectory[kept].astype(np.int64), task[kept].astype(np.int32), offsets, values)


def read_towards(
    column: pa.ListArray,
    num_frames: Int32[np.ndarray, "n"],
    tasks: pa.StringArray,
    task_code: Int32[np.ndarray, "n"],
    mark: Callable[[np.ndarray, Callable[[int], str]], None],
) -> Towards:
    """The entries of the rows; `mark` is told of rows whose entries contradict themselves.

    A task is named by its id; where rows have none, by its text in any spelling that normalises alike.
    """
    held = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(len(held)), held)
    entries = pc.list_flatten(column)
    curves = pc.struct_field(entries, "progress")
    lengths = pc.fill_null(pc.list_value_length(curves), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = pc.fill_null(pc.list_flatten(curves), np.nan).to_numpy(zero_copy_only=False).astype(np.float32)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    task = _task_codes(pc.struct_field(entries, "task_id"), tasks)
    _mark_faults(row, task, lengths, offsets, values, num_frames, task_code, mark)
    everything = Towards(row, task, offsets, values)
    return everything._take(np.arange(len(row)), row, np.where(task == task_code[row], -1, task))


def _task_codes(names: pa.StringArray, tasks: pa.StringArray) -> Int32[np.ndarray, "k"]:
    exact = pc.fill_null(pc.index_in(names, value_set=tasks), -1).to_numpy(zero_copy_only=False).astype(np.int32)
    if (exact >= 0).all():
        return exact
    coded = pc.dictionary_encode(names)
    spellings = pa.array([None if name is None else normalise_task(name) for name in coded.dictionary.to_pylist()])
    by_text = pc.fill_null(pc.index_in(spellings.cast(pa.string()), value_set=tasks), -1).to_numpy(zero_copy_only=False)
    code = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.where(exact >= 0, exact, np.append(by_text, -1)[code]).astype(np.int32)


def _mark_faults(
    row: np.ndarray,
    task: np.ndarray,
    lengths: np.ndarray,
    offsets: np.ndarray,
    values: np.ndarray,
    num_frames: np.ndarray,
    task_code: np.ndarray,
    mark: Callable[[np.ndarray, Callable[[int], str]], None],
) -> None:
    def rows_with(faulty: np.ndarray) -> np.ndarray:
        out = np.zeros(len(num_frames), bool)
        out[row[faulty]] = True
        return out

    wrong_length = lengths != num_frames[row]
    mark(
        rows_with(wrong_length),
        lambda at: f"`progress_by_task` must have one value a frame ({num_frames[at]}) for each task, but has not",
    )
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    outside = np.zeros(len(row), bool)
    outside[np.searchsorted(offsets, bad, side="right") - 1] = True
    mark(rows_with(outside), lambda at: "`progress_by_task` must be in [0, 1] at every frame, but is not")
    mark(
        rows_with((task >= 0) & (task == task_code[row])),
        lambda at: "`progress_by_task` must name other tasks than the row's own, but names it",
    )
    order = np.lexsort((task, row))
    again = (np.diff(row[order]) == 0) & (np.diff(task[order]) == 0) & (task[order][1:] >= 0)
    repeated = np.zeros(len(row), bool)
    repeated[order[1:][again]] = True
    mark(rows_with(repeated), lambda at: "`progress_by_task` must name each task once, but names one twice")
