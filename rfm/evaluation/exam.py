"""A VQA dataset opened for evaluation: its rows, what judging answers needs of them, and rows that can't be judged.

Columns that datasets of other makers lack become nulls. A row whose truth is missing or out of range is not asked: it
is counted beside the metrics with its reason, as a row with unreadable frames is. Task names come from the trajectories
(`task_id`, so that wordings of one task stand together) where those can be read, else from the normalised text.
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
from rfm.trajectories.catalog import Catalog
from rfm.trajectories.record import normalise_task
from rfm.vqa.answers import valid_answer
from rfm.vqa.dataset import frames_root, load_dataset
from rfm.vqa.schema import CLIP_PREFIXES, PREFIXES

logger = logging.getLogger(__name__)

_PLAIN = ("sample_type", "answer", "task", "data_source", "data_gen_strategy", "instruction_kind")
_MOST_FRAMES = 2**31
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
    task_of_text: dict[str, str]
    """Task by normalised instruction; empty where the trajectories can't be read."""
    tasks_of_path: dict[str, frozenset[str]]
    """By frame file, the tasks that its video is known under: its own, and those of its preference group."""
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
    def instructions(self) -> list[tuple[str, str]]:
        """The distinct instructions of the rows in alphabetical order, each with its task."""
        texts = sorted({text for text in self.columns["task"] if text and normalise_task(text)})
        return [(text, self.task_name(text)) for text in texts]

    def task_name(self, text: str | None) -> str:
        """Return the task of an instruction."""
        normal = normalise_task(text or "")
        return self.task_of_text.get(normal, normal or "unknown")


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
        return Exam(dataset, config, root, columns, faults, {}, {})
    return Exam(dataset, config, root, columns, faults, *tasks_of(episodes.catalog))


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


def tasks_of(catalog: Catalog) -> tuple[dict[str, str], dict[str, frozenset[str]]]:
    """Return the task by normalised text, the first of several that share one, and the tasks by frame file."""
    tasks = catalog.tasks.to_pylist()
    texts = [normalise_task(text) for text in catalog.texts.to_pylist()]
    of_text: dict[str, str] = {}
    for text, task in sorted(set(zip(catalog.text_code.tolist(), catalog.task_code.tolist(), strict=True))):
        of_text.setdefault(texts[text], tasks[task])
    return of_text, _tasks_of_paths(catalog, tasks)


def _tasks_of_paths(catalog: Catalog, tasks: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return under which tasks each video is shown: by the rule by which generation draws wrong instructions."""
    groups = catalog.preference_group.tolist()
    of_group: dict[int, set[str]] = {}
    for group, task in zip(groups, catalog.task_code.tolist(), strict=True):
        of_group.setdefault(group, set()).add(tasks[task])
    found: dict[str, frozenset[str]] = {}
    for path, group, task in zip(catalog.frames_path.to_pylist(), groups, catalog.task_code.tolist(), strict=True):
        known = of_group[group] if group >= 0 else {tasks[task]}
        found[path] = found.get(path, frozenset()) | known
    return found
