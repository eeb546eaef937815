"""Open a VQA dataset: its rows, how it was generated, and where its frames are. No torch.

A dataset comes from elsewhere, so only the columns of the format are taken from it, as plain values: what else its
files hold or declare (pictures that name a URL, say) is neither read nor decoded.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from datasets import Dataset
from datasets.table import MemoryMappedTable, concat_tables

from rfm.errors import DataError
from rfm.files.cache import expanded
from rfm.files.documents.json_documents import read_json_object
from rfm.files.documents.regular import MissingFileError, is_folder
from rfm.trajectories.arrow_files import check_sound, open_table, saved_files
from rfm.trajectories.catalog import ROOT_VARIABLE
from rfm.trajectories.store import PROCESSED
from rfm.vqa.schema import SCHEMA, is_integers, is_number, is_numbers

logger = logging.getLogger(__name__)

CONFIG_FILE = "generation_config.json"
_AGAIN = "generate the dataset again"
_OBJECTS = ("config", "config.data", "counts")
_UNLOADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What `datasets` raises for files and descriptions that are damaged or do not fit together."""
REQUIRED = ("sample_type", "prompt", "answer")
_OF_TRAJECTORIES = {"id", "task", "frames"}


def load_dataset(path: str | Path, *, checked: bool = False) -> tuple[Dataset, dict[str, Any]]:
    """Return the rows and the generation configuration, {} where there is none.

    The files are opened memory-mapped. Columns of the format are validated first, as `rfm.trajectories.arrow_files`
    says; `checked`: this run has done so already. Other columns are left out.

    Raises:
        DataError: the folder is no dataset, is damaged or empty, or lacks columns that every row must have.

    """
    folder = Path(path)
    _check_folder(folder)
    described = _described_columns(folder / "dataset_info.json")
    parts = [_known_columns(file, described, checked) for file in saved_files(folder)]
    if not any(part.num_rows for part in parts):
        raise _without_rows(folder)
    try:
        dataset = Dataset(concat_tables(parts), fingerprint=_fingerprint(folder))
    except _UNLOADABLE as error:
        raise DataError(f"`dataset_path` {folder} can't be loaded: {error}; generate it again") from error
    config = _read_config(folder / CONFIG_FILE)
    _warn_of_lost_rows(folder, len(dataset), config)
    return dataset, config


def _described_columns(file: Path) -> set[str]:
    """Return the names of the columns by the dataset's own account."""
    features = read_json_object(file, way_out=_AGAIN).get("features")
    if not isinstance(features, dict):
        raise DataError(f"{file} must list the columns under `features`, but does not; {_AGAIN}")
    return set(features)


def _known_columns(file: Path, described: set[str], checked: bool) -> MemoryMappedTable:
    """Return the columns of the format in one file, without what its metadata say they are to be decoded to.

    That all columns are those `described` tells a damaged name from a column that is not there.
    """
    table = open_table(file)
    if len(table.column_names) != len(described) or set(table.column_names) != described:
        raise DataError(
            f"{file} must have the columns {', '.join(sorted(described))} that dataset_info.json describes, but has "
            f"{', '.join(table.column_names)}; {_AGAIN}"
        )
    names = [name for name in table.column_names if name in SCHEMA.names]
    if any(name not in names for name in REQUIRED):
        if described >= _OF_TRAJECTORIES:
            raise _of_trajectories(file.parent)
        held = ", ".join(table.column_names)
        raise DataError(f"`dataset_path` must have the columns {', '.join(REQUIRED)}, but {file.parent} has {held}")
    known = table.select(names)
    if not checked:
        check_sound(file, known)
    _check_types(file.parent, known.schema)
    return MemoryMappedTable(table, str(file)).select(names).replace_schema_metadata(None)


def _fingerprint(folder: Path) -> str | None:
    """Return the name that the dataset's state gives its contents, None where it gives none."""
    name = read_json_object(folder / "state.json", way_out=_AGAIN).get("_fingerprint")
    return name if isinstance(name, str) else None


def frames_root(option: str | None, dataset_path: str | Path, config: dict[str, Any], rows: Dataset) -> Path:
    """Return the folder of the frame paths: option, environment, the dataset's own record, in this order.

    What the user names is trusted. A root that the dataset names itself serves only rows whose frames lie as in a
    datasets root: else `/` would open every video of the machine to it.
    """
    own = f"`datasets_root` of {Path(dataset_path) / CONFIG_FILE}"
    named = (
        ("`datasets_root`", option),
        (ROOT_VARIABLE, os.environ.get(ROOT_VARIABLE)),
        (own, config.get("datasets_root")),
    )
    for name, value in named:
        if value:
            root = expanded(value, name)
            if not is_folder(root):
                raise DataError(
                    f"{name} must be a folder, but is {root}; name the one with the frames by --datasets_root"
                )
            if name is own:
                _check_own_root(root, rows, own)
            return root
    raise DataError(
        f"`datasets_root` must be known, but is not given, {ROOT_VARIABLE} is not set, and {dataset_path} has no "
        "record of it; name the folder with the frames by --datasets_root"
    )


def _check_own_root(root: Path, rows: Dataset, name: str) -> None:
    for column in [column for column in rows.column_names if column.endswith("npz_path")]:
        for path in rows.data.column(column).unique().to_pylist():
            if path and not _lies_in_dataset(root, PurePosixPath(path)):
                raise DataError(
                    f"{name} must be a datasets root, with frames in <dataset>/frames/, but `{column}` names {path}; "
                    f"if you trust the rows to read files under {root}, name it by --datasets_root"
                )


def _lies_in_dataset(root: Path, path: PurePosixPath) -> bool:
    if "\0" in str(path):
        return True  # no file can have that name, and it is refused when it is read
    if path.is_absolute() or ".." in path.parts:
        return not Path(os.path.realpath(root / path)).is_relative_to(os.path.realpath(root))  # likewise
    return len(path.parts) > 1 and (path.parts[1] == "frames" or is_folder(root / path.parts[0] / PROCESSED))


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = read_json_object(file, way_out=_AGAIN)
    except MissingFileError:
        config = {}
    settings = config.get("config")
    parts = {**config, "config.data": settings.get("data") if isinstance(settings, dict) else None}
    for name, kind, text in (*((name, dict, "an object") for name in _OBJECTS), ("datasets_root", str, "a text")):
        if not isinstance(parts.get(name), (kind, type(None))):
            raise DataError(f"`{name}` of {file} must be {text}, but is {json.dumps(parts[name])}; {_AGAIN}")
    return config


def _check_types(folder: Path, schema: pa.Schema) -> None:
    """Refuse columns of the format that hold things of another kind; one that is null throughout holds nothing."""
    for name in schema.names:
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
        return {"lists of integers": is_integers} if whole else {"lists of numbers": is_numbers}
    if pa.types.is_boolean(kind):
        return {"true or false": pa.types.is_boolean}
    if not pa.types.is_string(kind):
        return {"numbers": is_number}
    numbered = name == "answer" or name.endswith("trajectory_id")
    return {"texts": _is_text} | ({"numbers": is_number} if numbered else {})


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


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


def _of_trajectories(folder: Path) -> DataError:
    return DataError(
        f"`dataset_path` must be questions made by `rfm generate`, but {folder} holds trajectories; draw questions "
        "from them first: rfm generate --output_path datasets --config_overrides data.datasets_root=… "
        "data.train_datasets=…"
    )


def _raise_if_another_kind(folder: Path, within: list[str]) -> None:
    """Say what a folder is that holds trajectories, or the sides of a split: which of them is meant is not guessed."""
    if PROCESSED in within or folder.name == PROCESSED or any(folder.glob(f"*/{PROCESSED}")):
        raise _of_trajectories(folder)
    if within:
        sides = ", ".join(str(folder / name) for name in sorted(within, key=lambda name: (name != "train", name)))
        raise DataError(
            f"`dataset_path` must be one dataset, but {folder} holds {len(within)}: {sides}; name one of them: what is "
            "trained on must not be judged on"
        )


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"`dataset_path` must be a folder made by `rfm generate`, but {folder} is none")
    lacking = [name for name in ("dataset_info.json", "state.json") if not (folder / name).is_file()]
    within = sorted(state.parent.name for state in folder.glob("*/state.json"))
    if lacking:
        _raise_if_another_kind(folder, within)
        raise DataError(
            f"`dataset_path` must be a dataset saved to disk, but {folder} lacks {' and '.join(lacking)}; "
            "make one with `rfm generate`"
        )
