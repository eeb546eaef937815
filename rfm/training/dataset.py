"""A VQA dataset as training reads it: rows of the columns that inputs are made of, and which trajectories they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc
from jaxtyping import UInt64
from numpy import ndarray

from rfm.batch.clips import clips_of
from rfm.vqa.dataset import REQUIRED, frames_root, load_dataset
from rfm.vqa.presentation import Presentation, presentation
from rfm.vqa.provenance import trajectory_hashes
from rfm.vqa.schema import PREFIXES

CLIP_COLUMNS = ("npz_path", "frame_indices", "frames_shape")
COLUMNS = (*REQUIRED, *(f"{prefix}{name}" for prefix in PREFIXES for name in CLIP_COLUMNS), "end_progress")


class TrainingSet(NamedTuple):
    """What a run needs of a generated dataset."""

    rows: Any
    """A Hugging Face dataset with `COLUMNS`."""
    root: Path
    """The folder that frame paths are relative to."""
    trajectories: UInt64[ndarray, " k"]
    """Hashes of all trajectories shown, see `rfm.vqa.provenance`."""
    discrete: bool = False
    """Progress from 1 to 5 instead of 0 to 100."""
    generation: dict[str, Any] = {}  # noqa: RUF012  # never written to
    """Its `generation_config.json`; {} where it has none."""
    shown: Presentation = Presentation()
    """How its questions are put."""


def open_training_set(path: str | Path, datasets_root: str | None = None) -> TrainingSet:
    """Open a dataset and look at one row of each sample type; raises `DataError` where it can't be trained on."""
    dataset, config = load_dataset(path)
    rows = dataset.select_columns([name for name in COLUMNS if name in dataset.column_names])
    check_rows(rows)
    discrete = bool(config.get("config", {}).get("data", {}).get("discrete_progress", False))
    root, shown = frames_root(datasets_root, path, config, dataset), presentation(rows, config)
    return TrainingSet(rows, root, trajectory_hashes(dataset), discrete, config, shown)


def check_rows(rows: Any) -> None:
    """Look at the first row of each sample type: most faults of a dataset are in all of its rows."""
    kinds = rows.data.column("sample_type")
    for kind in kinds.unique().to_pylist():
        position = pc.index(kinds, kind).as_py() if kind is not None else 0
        clips_of(rows[position], position)
