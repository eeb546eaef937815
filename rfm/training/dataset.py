"""The VQA dataset as training and prediction read it: rows of the columns they need, and the root of its frames."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from datasets import Dataset, load_from_disk

from rfm.batch.clips import PREFIXES, clips_of
from rfm.errors import DataError

ROOT_VARIABLE = "RFM_PROCESSED_DATASETS_PATH"
RECORD = "generation_config.json"

CLIP_PREFIXES = tuple(dict.fromkeys(prefix for prefixes in PREFIXES.values() for prefix in prefixes))
COLUMNS = (
    "sample_type", "prompt", "answer",
    *(f"{prefix}{name}" for prefix in CLIP_PREFIXES for name in ("npz_path", "frame_indices")),
)  # fmt: skip


def load_rows(path: str | Path) -> Any:
    """Load the rows of a generated dataset, with the columns that inputs are made of.

    Raises `DataError` where the folder is no dataset, is empty, or lacks columns.
    """
    folder = Path(path)
    _check_folder(folder)
    if _is_empty(folder):
        raise DataError(f"`dataset_path` must have rows, but {folder} has none; generate it again with `rfm generate`")
    dataset = load_from_disk(str(folder))
    if not isinstance(dataset, Dataset):
        raise DataError(f"`dataset_path` must be one dataset, but {folder} holds the splits {sorted(dataset)}; name one of them")
    missing = [name for name in ("sample_type", "prompt", "answer") if name not in dataset.column_names]
    if missing:
        raise DataError(f"`dataset_path` must have the column(s) {', '.join(missing)}, but {folder} has {dataset.column_names}")
    rows = dataset.select_columns([name for name in COLUMNS if name in dataset.column_names])
    check_rows(rows)
    return rows


def check_rows(rows: Any) -> None:
    """Look at the first row of each sample type: most faults of a dataset are in all of its rows."""
    kinds = rows["sample_type"]
    for kind in dict.fromkeys(kinds):
        position = next(index for index, value in enumerate(kinds) if value == kind)
        clips_of(rows[position], position)


def resolve_root(option: str | None, dataset_path: str | Path) -> Path:
    """Return the folder that frame paths are relative to: option, environment, the dataset's own record, in this order."""
    recorded = _recorded_root(Path(dataset_path) / RECORD)
    candidates = (
        ("--datasets_root", option),
        (ROOT_VARIABLE, os.environ.get(ROOT_VARIABLE)),
        (f"`datasets_root` of {Path(dataset_path) / RECORD}", recorded),
    )
    for name, value in candidates:
        if value:
            root = Path(value).expanduser()
            if not root.is_dir():
                raise DataError(f"{name} must be a folder, but is {root}; pass --datasets_root with the folder that holds the frames")
            return root
    raise DataError(
        f"The frames' root is not known: --datasets_root is not given, {ROOT_VARIABLE} is not set, and {dataset_path} has no"
        f" {RECORD} with `datasets_root`; pass --datasets_root"
    )


def _recorded_root(record: Path) -> str | None:
    if not record.is_file():
        return None
    root = json.loads(record.read_text(encoding="utf-8")).get("datasets_root")
    return root if isinstance(root, str) else None


def _is_empty(folder: Path) -> bool:
    """Tell whether a saved dataset has no row; loading one would fail in the depths of Arrow."""
    state = folder / "state.json"
    if not state.is_file():
        return False
    files = [folder / entry["filename"] for entry in json.loads(state.read_text(encoding="utf-8"))["_data_files"]]
    return not any(file.is_file() and Dataset.from_file(str(file)).num_rows for file in files)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"`dataset_path` must be a folder made by `rfm generate`, but {folder} does not exist")
    lacking = [name for name in ("dataset_info.json", "state.json") if not (folder / name).is_file()]
    if lacking and not (folder / "dataset_dict.json").is_file():
        raise DataError(
            f"`dataset_path` must be a dataset saved to disk, but {folder} lacks {' and '.join(lacking)};"
            " generate one with `rfm generate`"
        )
