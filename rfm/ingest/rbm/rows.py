"""The rows of a Hugging Face dataset: where its files are, and what they say of each episode, without its frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from rfm.errors import ConfigError, DataError
from rfm.files.documents.csv_lines import csv_lines
from rfm.files.documents.json_documents import json_lines, parse_json
from rfm.ingest.listing.finding import Found, find_files
from rfm.ingest.rbm.media import MEDIA, may_hold_bytes
from rfm.ingest.reading import confined, opened_parquet
from rfm.trajectories.arrow_files import BROKEN_TABLE, check_repeats, opened_stream, saved_files

COLUMNS = (
    "id", "task", "data_source", "quality_label", "optimal", "is_robot", "partial_success", "frames", "frames_video",
    "task_id", "scene_id", "split", "preference_group_id", "preference_rank",
)  # fmt: skip
"""What is read of a row."""
METADATA = ("metadata.csv", "metadata.jsonl")
"""Lists of the videos in a folder, as Hugging Face's video folders have them."""

_ROWS_AT_ONCE = 1000


def data_files(root: Path, subset: str | None, split: str | None) -> list[Found]:
    """The arrow or parquet files of a dataset, or else its lists of videos; ConfigError where there is none."""
    if root.is_file():
        return [Found(root, root.stem)]
    folder = root if subset is None else confined(root, subset, "--subset")
    saved = [state.parent for state in sorted(folder.rglob("state.json"))]
    if saved:
        files = [file for one in saved if split in (None, one.name) or one == folder for file in saved_files(one)]
        found = [_named(file, root) for file in files]
    else:
        listed = find_files(folder, lambda name: name.lower().endswith(".parquet"))
        listed = listed or find_files(folder, lambda name: name in METADATA)
        found = [
            one for one in listed if split is None or split in (one.path.parent.name, one.path.name.partition("-")[0])
        ]
    if not found:
        wanted = "" if split is None else f" of split {split}"
        raise ConfigError(
            f"{folder} must hold a saved dataset, parquet files or {' or '.join(METADATA)}{wanted}, but holds none"
        )
    return found


def _named(file: Path, root: Path) -> Found:
    name = file.relative_to(root)
    try:
        confined(root, str(name), "a data file")
    except DataError as error:
        return Found(file, name.with_suffix("").as_posix(), str(error))
    return Found(file, name.with_suffix("").as_posix())


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file; of what a list of videos says as text, numbers and flags as such."""
    if file.name not in METADATA:
        yield from _table_rows(file)
        return
    lines = csv_lines(file, ("file_name", "task")) if file.suffix == ".csv" else json_lines(file)
    for line in lines:
        if line.fault is not None or not isinstance(line.value, dict):
            raise DataError(f"{file} line {line.number} {line.fault or 'must be a JSON object, but is not'}")
        row = {name: _typed(name, value) for name, value in line.value.items()}
        yield {"id": row.get("file_name"), **row, "frames": row.get("file_name")}


def _table_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows, a batch of them in memory at a time, without columns that may hold media.

    DataError where the file can't be read.
    """
    if not file.is_file():
        raise DataError(f"{file} must exist, but does not")
    try:
        if file.suffix.lower() == ".parquet":
            parquet = opened_parquet(file)
            for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=_light(parquet.schema_arrow)):
                yield from batch.to_pylist() if batch.num_columns else [{}] * len(batch)
            return
        for batch in opened_stream(file):
            part = batch.select(_light(batch.schema))
            part.validate(full=True)  # offsets of a mapped file are used as they are
            check_repeats(file, part)
            for start in range(0, len(part), _ROWS_AT_ONCE):
                yield from part.slice(start, _ROWS_AT_ONCE).to_pylist()
    except BROKEN_TABLE as error:
        raise DataError(f"{file} must be a readable arrow or parquet file, but reading it gives: {error}") from error


def _light(schema: pa.Schema) -> list[str]:
    names = [name for name in schema.names if name in COLUMNS]
    return [name for name in names if not (name in MEDIA and may_hold_bytes(schema.field(name).type))]


def _typed(name: str, value: Any) -> Any:
    """A field of a CSV as what its column holds; what is none is judged with the episode's other values."""
    if not isinstance(value, str) or name not in ("is_robot", "partial_success", "preference_rank"):
        return value if value != "" else None
    try:
        return parse_json(value.strip().lower() or "null", name)
    except DataError:
        return value
