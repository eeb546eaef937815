"""A VQA dataset opened for evaluation: its rows, what judging answers needs of them, and rows that can't be judged.

Columns that datasets of other makers lack become nulls. A row whose truth is missing or out of range is not asked: it
is counted beside the metrics with its reason, as a row with unreadable frames is. Task names come from the trajectories
(`task_id`, so that wordings of one task stand together and tasks of one wording apart) where those can be read, else
from the normalised text.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from rfm.audit.reading.episodes import data_settings, try_load_episodes
from rfm.errors import DataError
from rfm.evaluation.known_tasks import KnownTasks, known_tasks
from rfm.trajectories.record import normalise_task
from rfm.vqa.answers import valid_answer
from rfm.vqa.dataset import frames_root, load_dataset
from rfm.vqa.schema import CLIP_PREFIXES, PREFIXES

logger = logging.getLogger(__name__)

_PLAIN = ("sample_type", "answer", "task", "data_source", "data_gen_strategy", "instruction_kind")
_MOST_FRAMES = 2**31
NO_TASKS = KnownTasks()
_OF_CLIP = ("npz_path", "trajectory_id", "quality_label", "end_progress")


@dataclass(frozen=True)
class Exam:
    """n rows of a dataset, the first ones where fewer were asked for."""

    dataset: Any
    config: dict[str, Any]
    root: Path
    columns: dict[str, list[Any]]
    """Python values by column; nulls where the dataset has no such column.

    `<prefix>frames`: frames shown, `<prefix>last_frame`: the last of them, -1 where there is none.
    """
    faults: dict[int, str]
    """Why rows can't be judged."""
    tasks: KnownTasks = NO_TASKS
    in_datasets: bool = True
    """Whether frames lie in trajectory datasets: then checkpoints record which of them they were trained on."""

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def discrete(self) -> bool:
        """Whether progress was asked for in five levels."""
        return _in_levels(self.config)

    @property
    def asked(self) -> Int64[np.ndarray, " asked"]:
        """The rows that can be judged."""
        return np.array([row for row in range(len(self)) if row not in self.faults], np.int64)

    @cached_property
    def instructions(self) -> list[str]:
        """The distinct instructions of the rows in alphabetical order."""
        return sorted({text for text in self.columns["task"] if text and normalise_task(text)})

    def task_of(self, row: int) -> str:
        """Return the task that a row asks about."""
        return self.tasks.name(
            self.columns["task"][row], [self.columns[f"{prefix}npz_path"][row] for prefix in PREFIXES]
        )


def open_exam(dataset_path: str, datasets_root: str | None = None, max_samples: int | None = None) -> Exam:
    """Open a dataset; raises `DataError` where it is none, is empty, lacks the basic columns, or has no frames root."""
    dataset, config = load_dataset(dataset_path)
    root = frames_root(datasets_root, dataset_path, config, dataset)
    if max_samples is not None:
        dataset = dataset.select(range(min(max_samples, len(dataset))))
    columns = columns_of(dataset)
    discrete = _in_levels(config)
    reasons = (_fault(columns, row, discrete) for row in range(len(dataset)))
    faults = {row: reason for row, reason in enumerate(reasons) if reason is not None}
    paths = {path for prefix in PREFIXES for path in columns[f"{prefix}npz_path"] if path}
    episodes, why_not = try_load_episodes(root, tuple(sorted(paths)), config)
    if episodes is None:
        logger.warning("tasks are told apart by their texts, since the trajectories can't be read: %s", why_not)
        return Exam(dataset, config, root, columns, faults)
    return Exam(dataset, config, root, columns, faults, known_tasks(episodes.catalog))


def _in_levels(config: dict[str, Any]) -> bool:
    return bool(data_settings(config).get("discrete_progress", False))


def columns_of(dataset: Any) -> dict[str, list[Any]]:
    """Return what judging needs of the rows, see `Exam.columns`."""
    names = [*_PLAIN, "target_progress", *(f"{prefix}{name}" for prefix in PREFIXES for name in _OF_CLIP)]
    held = [name for name in dataset.column_names if name in names or name.endswith("frame_indices")]
    table: pa.Table = dataset.select_columns(held).with_format("arrow")[:]
    nulls = [None] * len(dataset)
    columns = {name: table[name].to_pylist() if name in held else list(nulls) for name in names}
    for prefix in PREFIXES:
        indices = f"{prefix}frame_indices"
        is_list = indices in held and pa.types.is_list(table[indices].type)
        columns[f"{prefix}frames"] = pc.list_value_length(table[indices]).to_pylist() if is_list else list(nulls)
        columns[f"{prefix}last_frame"] = _last_values(table[indices]) if is_list else [-1] * len(dataset)
    return columns


def _last_values(lists: pa.ChunkedArray) -> list[int]:
    """Return the last value of each list; -1 of one that is empty, null or ends in null."""
    length = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    at = pa.array(np.cumsum(length, dtype=np.int64) - 1, mask=length == 0)
    found = pc.list_flatten(lists).take(at).to_pylist()
    return [value if isinstance(value, int) and 0 <= value < _MOST_FRAMES else -1 for value in found]


def _fault(columns: dict[str, list[Any]], row: int, discrete: bool) -> str | None:
    """Return why a row's truth can't be used, None where it can."""
    kind, answer = columns["sample_type"][row], columns["answer"][row]
    if kind not in CLIP_PREFIXES:
        return f"`sample_type` must be one of {', '.join(sorted(CLIP_PREFIXES))}, but is {kind!r} (row {row})"
    try:
        valid_answer(kind, answer, discrete=discrete)
    except DataError as error:
        return f"{error} (row {row})"
    if kind != "progress":
        return None
    end = columns["end_progress"][row]
    if end is not None and not 0.0 <= end <= 1.0:  # NaN too
        return f"`end_progress` must be null or in [0, 1], but is {end!r} (row {row})"
    targets: Sequence[Any] = columns["target_progress"][row] or ()
    if any(isinstance(value, float) and math.isnan(value) for value in targets):
        return f"`target_progress` must hold numbers or nulls, but holds NaN (row {row})"
    return None
