"""Open a VQA dataset: its rows, how it was generated, and where its frames are. No torch."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, load_from_disk

from rfm.errors import DataError
from rfm.trajectories.arrow_files import check_sound, open_table, saved_files
from rfm.trajectories.catalog import ROOT_VARIABLE
from rfm.vqa.schema import SCHEMA

logger = logging.getLogger(__name__)

CONFIG_FILE = "generation_config.json"
_OBJECTS = ("config", "config.data", "counts")
_UNLOADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What `datasets` raises for files and descriptions that are damaged or do not fit together."""
REQUIRED = ("sample_type", "prompt", "answer")


def load_dataset(path: str | Path, *, checked: bool = False) -> tuple[Dataset, dict[str, Any]]:
    """Return the rows and the generation configuration, {} where there is none.

    All columns are validated first, as `rfm.trajectories.arrow_files` says; `checked`: this run has done so already.

    Raises:
        DataError: the folder is no dataset, is damaged or empty, or lacks columns that every row must have.

    """
    folder = Path(path)
    _check_folder(folder)
    if not checked and not (folder / "dataset_dict.json").is_file():
        for file in saved_files(folder):
            check_sound(file, open_table(file))
    try:
        dataset = load_from_disk(str(folder))
    except IndexError:  # what `datasets` makes of no rows at all
        raise _without_rows(folder) from None
    except _UNLOADABLE as error:
        raise DataError(f"`dataset_path` {folder} can't be loaded: {error}; generate it again") from error
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"`dataset_path` must be one dataset, but {folder} holds the splits {sorted(dataset)}; name one"
        )
    if any(name not in dataset.column_names for name in REQUIRED):
        held = ", ".join(dataset.column_names)
        raise DataError(f"`dataset_path` must have the columns {', '.join(REQUIRED)}, but {folder} has {held}")
    _check_types(folder, dataset.data.schema)
    if len(dataset) == 0:
        raise _without_rows(folder)
    config = _read_config(folder / CONFIG_FILE)
    _warn_of_lost_rows(folder, len(dataset), config)
    return dataset.with_format(None), config  # whatever form it was saved with


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


def _check_types(folder: Path, schema: pa.Schema) -> None:
    """Refuse columns of the format that hold things of another kind; one that is null throughout holds nothing."""
    for name in [name for name in schema.names if name in SCHEMA.names]:
        kind, allowed = schema.field(name).type, _allowed(name)
        unused = pa.types.is_null(kind) and name not in REQUIRED
        if not unused and not any(is_kind(kind) for is_kind in allowed.values()):
            kinds, own = " or ".join(allowed), SCHEMA.field(name).type
            raise DataError(f"`{name}` of {folder} must hold {kinds}, but is {kind}; save it as {own}")


def _allowed(name: str) -> dict[str, Callable[[pa.DataType], bool]]:
    """Return the kinds of values that a column of the format may hold, by name."""
    kind = SCHEMA.field(name).type
    if pa.types.is_list(kind):
        whole = pa.types.is_integer(kind.value_type)
        return {"lists of integers" if whole else "lists of numbers": _is_integers if whole else _is_numbers}
    if pa.types.is_boolean(kind):
        return {"true or false": pa.types.is_boolean}
    if not pa.types.is_string(kind):
        return {"numbers": _is_number}
    numbered = name == "answer" or name.endswith("trajectory_id")
    return {"texts": _is_text} | ({"numbers": _is_number} if numbered else {})


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _is_numbers(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_list(kind) for is_list in lists) and _is_number(kind.value_type)


def _is_integers(kind: pa.DataType) -> bool:
    return _is_numbers(kind) and pa.types.is_integer(kind.value_type)


def _warn_of_lost_rows(folder: Path, rows: int, config: dict[str, Any]) -> None:
    """Say where rows are missing: a stream of batches that was cut between two of them reads like a whole one."""
    recorded = config.get("num_samples")
    if isinstance(recorded, int) and recorded != rows:
        logger.warning(
            "%s has %d rows, but its %s records %d: copy it again, unless rows were changed on purpose",
            folder, rows, CONFIG_FILE, recorded,
        )  # fmt: skip


def _without_rows(folder: Path) -> DataError:
    return DataError(f"`dataset_path` must have rows, but {folder} has none; generate it again with `rfm generate`")


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"`dataset_path` must be a folder made by `rfm generate`, but {folder} is none")
    lacking = [name for name in ("dataset_info.json", "state.json") if not (folder / name).is_file()]
    within = sorted(state.parent.name for state in folder.glob("*/state.json"))
    if lacking and within and not (folder / "dataset_dict.json").is_file():
        sides = ", ".join(within)
        raise DataError(
            f"`dataset_path` must be one dataset, but {folder} holds {sides}; name {folder / within[0]}, say"
        )
    if lacking and not (folder / "dataset_dict.json").is_file():
        raise DataError(
            f"`dataset_path` must be a dataset saved to disk, but {folder} lacks {' and '.join(lacking)}; "
            "make one with `rfm generate`"
        )
