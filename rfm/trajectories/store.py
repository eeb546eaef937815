"""Processed datasets on disk: `<root>/<dataset folder>/processed_dataset`, as `datasets.load_from_disk` reads them.

Written here without the datasets library: an Arrow stream with the features in its schema, `state.json` and
`dataset_info.json`. That keeps the bytes a function of the rows alone, and lists are declared as `Sequence`, which
every version of the library reads (`List` is unknown before 4.0). Read back with pyarrow, memory-mapped, by column:
columns nobody asks for (language vectors) are never touched, and those that are asked for are validated first
(`rfm.trajectories.arrow_files`; 5 ms for 45,000 rows, 0.1 s for a million). Missing optional columns read as null.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rfm.errors import DataError
from rfm.files.documents.json_documents import read_json_object
from rfm.files.staging import staged_file, staged_folder
from rfm.trajectories.arrow_files import check_sound, open_table, saved_files
from rfm.trajectories.other_tasks import to_column
from rfm.trajectories.record import Trajectory

PROCESSED = "processed_dataset"
"""The folder of the saved dataset within a dataset folder."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("task_id", pa.string()),
        ("data_source", pa.string()),
        ("quality_label", pa.string()),
        ("is_robot", pa.bool_()),
        ("partial_success", pa.float32()),
        ("frames", pa.string()),
        ("frames_shape", pa.list_(pa.int32())),
        ("num_frames", pa.int32()),
        ("progress", pa.list_(pa.float32())),
        ("progress_by_task", pa.list_(pa.struct([("task_id", pa.string()), ("progress", pa.list_(pa.float32()))]))),
        ("frame_times", pa.list_(pa.float32())),
        ("scene_id", pa.string()),
        ("split", pa.string()),
        ("lang_vector", pa.list_(pa.float32())),
        ("frames_path", pa.string()),
        ("frames_processed", pa.bool_()),
        ("preference_group_id", pa.string()),
        ("preference_rank", pa.int32()),
    ]
)
"""Every column of the design, in the order they are written."""

REQUIRED = ("id", "task", "frames")
"""Columns without which a dataset cannot be used."""

_ROWS_PER_BATCH = 10_000


def write_processed_dataset(
    folder: Path, trajectories: Iterable[Trajectory], about: Mapping[str, Any] | None = None
) -> Path:
    """Write the rows as `<folder>/processed_dataset`, whole or not at all, and a summary beside it.

    `about` is what the summary says besides: how the dataset was made, what is suggested for it.
    """
    table = trajectory_table(list(trajectories))
    folder.mkdir(parents=True, exist_ok=True)
    with staged_file(folder / "dataset_info.json") as staged:
        _write_json(staged, {**_summary(table), **(about or {})})
    with staged_folder(folder / PROCESSED) as staged:
        _save(staged, table)
    return folder / PROCESSED


def trajectory_table(trajectories: Sequence[Trajectory]) -> pa.Table:
    """The rows as a table of `SCHEMA`."""
    columns = [[_cell(row, name) for row in trajectories] for name in SCHEMA.names]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _cell(row: Trajectory, name: str) -> Any:
    return to_column(row.progress_by_task) if name == "progress_by_task" else getattr(row, name)


def read_columns(folder: Path, names: Sequence[str]) -> pa.Table:
    """The columns `names` of `<folder>/processed_dataset` in the types of `SCHEMA`; absent optional ones are null."""
    saved = folder / PROCESSED
    files = saved_files(saved)
    if not files:
        raise DataError(f"{saved} must hold a dataset saved with `save_to_disk`, but has no arrow file")
    parts = [open_table(file) for file in files]
    missing = [name for name in REQUIRED if any(name not in part.column_names for part in parts)]
    if missing:
        held = ", ".join(parts[0].column_names)
        lacks = ", ".join(missing)
        raise DataError(f"{saved} must have the columns {', '.join(REQUIRED)}, but lacks {lacks}: it has {held}")
    for file, part in zip(files, parts, strict=True):
        check_sound(file, part.select([name for name in names if name in part.column_names]))
    schema = pa.schema([SCHEMA.field(name) for name in names])
    return pa.concat_tables([_conform(part, schema, saved) for part in parts])


def replace_columns(folder: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write `<folder>/processed_dataset` anew with other values in some columns; all else in it stays as it is.

    Files are read and written as Arrow: `datasets` would decode columns of media, and open what they name.
    """
    saved = folder / PROCESSED
    parts = [open_table(file) for file in saved_files(saved)]
    for file, part in zip(saved_files(saved), parts, strict=True):
        check_sound(file, part)
    table = pa.concat_tables(parts)
    info = read_json_object(saved / "dataset_info.json") if (saved / "dataset_info.json").is_file() else {}
    features = {name: _feature(table.schema.field(name).type) for name in table.column_names}
    features |= {name: kept for name, kept in (info.get("features") or {}).items() if name in features}
    for name, values in columns.items():
        known = name in table.column_names
        kind = table.schema.field(name).type if known else SCHEMA.field(name).type
        array = pa.chunked_array([pa.array(values, kind)])
        place = table.column_names.index(name) if known else table.num_columns
        table = table.set_column(place, name, array) if known else table.append_column(name, array)
        features.setdefault(name, _feature(kind))
    with staged_folder(saved) as staged:
        _save(staged, table, features, info)


def _conform(table: pa.Table, schema: pa.Schema, saved: Path) -> pa.Table:
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        try:
            columns.append(_cast(column, field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise DataError(f"`{field.name}` in {saved} must be {field.type}, but is {column.type}: {error}") from error
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast a column; fields of structs by their names, where pyarrow 17 wants them in one order."""
    if _is_in_another_order(column.type, kind):
        return pa.chunked_array([pa.array(column.to_pylist(), kind)])
    return column.cast(kind)


def _is_in_another_order(kind: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_list(kind) and pa.types.is_list(wanted):
        return _is_in_another_order(kind.value_type, wanted.value_type)
    if not (pa.types.is_struct(kind) and pa.types.is_struct(wanted)):
        return False
    names, in_order = ([field.name for field in one] for one in (kind, wanted))
    return names != in_order and sorted(names) == sorted(in_order)


def _save(
    folder: Path, table: pa.Table, features: Mapping[str, Any] | None = None, info: Mapping[str, Any] | None = None
) -> None:
    """Write a table as `datasets` does; `features` are its types of columns, `info` what else is said of it."""
    features = features or {field.name: _feature(field.type) for field in table.schema}
    name = "data-00000-of-00001.arrow"
    schema = table.schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table.cast(schema), max_chunksize=_ROWS_PER_BATCH)
    state: dict[str, Any] = {
        "_data_files": [{"filename": name}],
        "_fingerprint": hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    _write_json(folder / "state.json", state)
    described = {"citation": "", "description": "", "homepage": "", "license": "", **(info or {}), "features": features}
    _write_json(folder / "dataset_info.json", described)


def _feature(kind: pa.DataType) -> Any:
    """A type in the words of `datasets`: a list of structs in brackets, for its `Sequence` turns one inside out."""
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return [_feature(kind.value_type)]
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    return {"dtype": {"float": "float32"}.get(str(kind), str(kind)), "_type": "Value"}


def _summary(table: pa.Table) -> dict[str, Any]:
    quality = Counter(label or "unknown" for label in table["quality_label"].to_pylist())
    return {
        "num_trajectories": table.num_rows,
        "num_frames": sum(table["num_frames"].to_pylist()),
        "num_tasks": len(set(table["task"].to_pylist())),
        "data_sources": dict(sorted(Counter(table["data_source"].to_pylist()).items())),
        "quality_labels": dict(sorted(quality.items())),
        "with_scene": table.num_rows - table["scene_id"].null_count,
        "num_scenes": len(set(table["scene_id"].to_pylist()) - {None}),
        "with_progress": table.num_rows - table["progress"].null_count,
        "with_progress_by_task": table.num_rows - table["progress_by_task"].null_count,
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
