"""Open a VQA dataset: its rows, how it was generated, and where its frames are. No torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, load_from_disk

from rfm.errors import DataError
from rfm.trajectories.catalog import ROOT_VARIABLE

CONFIG_FILE = "generation_config.json"
_OBJECTS = ("config", "config.data", "counts")
REQUIRED = ("sample_type", "prompt", "answer")


def load_dataset(path: str | Path) -> tuple[Dataset, dict[str, Any]]:
    """Return the rows and the generation configuration, {} where there is none.

    Raises:
        DataError: the folder is no dataset, is empty, or lacks columns that every row must have.

    """
    folder = Path(path)
    _check_folder(folder)
    try:
        dataset = load_from_disk(str(folder))
    except IndexError:  # what `datasets` makes of no rows at all
        raise _without_rows(folder) from None
    except (OSError, ValueError, KeyError, pa.ArrowInvalid) as error:
        raise DataError(f"`dataset_path` {folder} can't be loaded: {error}; generate it again") from error
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"`dataset_path` must be one dataset, but {folder} holds the splits {sorted(dataset)}; name one"
        )
    if any(name not in dataset.column_names for name in REQUIRED):
        held = ", ".join(dataset.column_names)
        raise DataError(f"`dataset_path` must have the columns {', '.join(REQUIRED)}, but {folder} has {held}")
    if len(dataset) == 0:
        raise _without_rows(folder)
    return dataset, _read_config(folder / CONFIG_FILE)


def frames_root(option: str | None, dataset_path: str | Path, config: dict[str, Any]) -> Path:
    """Return the folder of the frame paths: option, environment, the dataset's own record, in this order."""
    candidates = (
        ("`datasets_root`", option),
        (ROOT_VARIABLE, os.environ.get(ROOT_VARIABLE)),
        (f"`datasets_root` of {Path(dataset_path) / CONFIG_FILE}", config.get("datasets_root")),
    )
    for name, value in candidates:
        if value:
            root = Path(value).expanduser()
            if not root.is_dir():
                raise DataError(
                    f"{name} must be a folder, but is {root}; name the one with the frames by --datasets_root"
                )
            return root
    raise DataError(
        f"`datasets_root` must be known, but is not given, {ROOT_VARIABLE} is not set, and {dataset_path} has no "
        "record of it; name the folder with the frames by --datasets_root"
    )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise DataError(f"{file} must be JSON, but is not ({error}); generate the dataset again") from error
    if not isinstance(config, dict):
        raise DataError(f"{file} must hold an object, but holds a {type(config).__name__}; generate the dataset again")
    settings = config.get("config")
    parts = {**config, "config.data": settings.get("data") if isinstance(settings, dict) else None}
    for name, kind, text in (*((name, dict, "an object") for name in _OBJECTS), ("datasets_root", str, "a text")):
        if not isinstance(parts.get(name), (kind, type(None))):
            raise DataError(
                f"`{name}` of {file} must be {text}, but is {json.dumps(parts[name])}; generate the dataset again"
            )
    return config


def _without_rows(folder: Path) -> DataError:
    return DataError(f"`dataset_path` must have rows, but {folder} has none; generate it again with `rfm generate`")


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"`dataset_path` must be a folder made by `rfm generate`, but {folder} is none")
    lacking = [name for name in ("dataset_info.json", "state.json") if not (folder / name).is_file()]
    if lacking and not (folder / "dataset_dict.json").is_file():
        raise DataError(
            f"`dataset_path` must be a dataset saved to disk, but {folder} lacks {' and '.join(lacking)}; "
            "make one with `rfm generate`"
        )
