"""How far each frame of a trajectory has got towards other tasks than its own: the column `progress_by_task`.

As a value, pairs of a task id and its progress, in the order of recording, hashable as all of a row is. On disk a list
of structs. In lists that people write an object, `{"window-open": [1.0, 0.9]}`. What a value may hold is checked where
rows are (`rfm.trajectories.record`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ProgressByTask = tuple[tuple[str, tuple[float, ...]], ...]
"""Of each other task its id, and one value in [0, 1] a frame."""


def by_task(progress: Mapping[str, Sequence[float]]) -> ProgressByTask:
    """The value for a mapping from task ids to progress."""
    return tuple((task, tuple(values)) for task, values in progress.items())


def from_column(entries: Iterable[Mapping[str, Any] | None] | None) -> ProgressByTask | None:
    """The value for what a dataset holds in a row; a null within it becomes one that the record's checks name."""
    if entries is None:
        return None
    return tuple(_pair(entry or {}) for entry in entries)


def to_column(progress: ProgressByTask | None) -> list[dict[str, Any]] | None:
    """What a dataset holds in a row for the value."""
    return None if progress is None else [{"task_id": task, "progress": values} for task, values in progress]


def at_frames(progress: ProgressByTask | None, frames: Sequence[int]) -> ProgressByTask | None:
    """The value for these frames alone."""
    return progress and tuple((task, tuple(values[frame] for frame in frames)) for task, values in progress)


def _pair(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    values = entry.get("progress")
    return entry.get("task_id"), None if values is None else tuple(values)
