"""The small columns of a LeRobot dataset's parquet files: which rows are an episode's, in which order, and when.

Rows are an episode's by `episode_index` and lie in the order of `frame_index`, wherever they stand in their file. An
episode whose file holds none of its rows is looked for in the others, as some tools that merge datasets leave the
metadata behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from rfm.errors import DataError
from rfm.ingest.lerobot.dataset import Entry, LeRobotDataset, read_table
from rfm.ingest.reading import confined, opened_parquet

_MOST_LISTED = 3


class EpisodeRows(NamedTuple):
    """The rows of an episode, in the order of its frames."""

    path: str
    """Their file below the dataset's folder."""
    rows: Int64[np.ndarray, "t"]
    timestamps: Float64[np.ndarray, "t"]
    tasks: Sequence[int | None] | None
    """`task_index` of each, None where it is not recorded."""
    named: Mapping[str, Sequence[Any]]
    """The columns that the user named."""
    columns: tuple[str, ...]
    """The names of all columns of the file."""
    notes: tuple[str, ...]


class _File(NamedTuple):
    rows: dict[int, Int64[np.ndarray, "t"]]
    frame_index: Int64[np.ndarray, "n"] | None
    timestamps: Float64[np.ndarray, "n"]
    tasks: pa.ChunkedArray | None
    named: dict[str, list[Any]]
    columns: tuple[str, ...]


class RowReader:
    """Keeps the small columns of the file read last, which the next episode likely shares."""

    def __init__(self, dataset: LeRobotDataset, named: Iterable[str]):
        self._dataset, self._named = dataset, tuple(named)
        self._last: tuple[str, _File | DataError] | None = None
        self._lies_in: dict[int, list[str]] | None = None

    def rows(self, entry: Entry) -> EpisodeRows:
        """The rows of the episode; DataError where they are not there, or not all of them."""
        path, notes = entry.data_path, tuple[str, ...]()
        file = self._file(path)
        if entry.index not in file.rows:
            path, notes = self._elsewhere(entry)
            file = self._file(path)
        rows = file.rows[entry.index]
        if len(rows) != entry.length:
            raise DataError(
                f"`length` of episode {entry.index} must be the number of its frames ({len(rows)}), "
                f"but is {entry.length}"
            )
        if file.frame_index is not None and (np.diff(file.frame_index[rows]) == 0).any():
            raise DataError(f"`frame_index` of episode {entry.index} must differ in each row of {path}, but does not")
        tasks = None if file.tasks is None else file.tasks.take(pa.array(rows)).to_pylist()
        named = {name: [values[row] for row in rows.tolist()] for name, values in file.named.items()}
        return EpisodeRows(path, rows, file.timestamps[rows], tasks, named, file.columns, notes)

    def _elsewhere(self, entry: Entry) -> tuple[str, tuple[str, ...]]:
        """The file that holds the episode after all, and that it is another one."""
        if self._lies_in is None:
            self._lies_in = self._index()
        paths = self._lies_in.get(entry.index, [])
        if not paths:
            raise DataError(f"{entry.data_path} must hold the frames of episode {entry.index}, but does not")
        if len(paths) > 1:
            listed = ", ".join(paths[:_MOST_LISTED])
            raise DataError(f"the frames of episode {entry.index} must lie in one file, but lie in {listed}")
        return paths[0], (f"its rows lie in {paths[0]}, not in {entry.data_path} as meta/ says",)

    def _index(self) -> dict[int, list[str]]:
        """The files that hold rows of an episode, among those that can be read."""
        found: dict[int, list[str]] = {}
        for name in self._dataset.files():
            path = self._dataset.root / name
            try:
                column = number_column(small_columns(path, ["episode_index"]), "episode_index", pa.int64(), path)
            except DataError:
                continue
            for index in pc.unique(column).to_pylist():
                found.setdefault(index, []).append(name)
        return found

    def _file(self, data_path: str) -> _File:
        if self._last is None or self._last[0] != data_path:
            try:
                self._last = (data_path, self._read(data_path))
            except DataError as error:
                self._last = (data_path, error)
        found = self._last[1]
        if isinstance(found, DataError):
            raise found
        return found

    def _read(self, data_path: str) -> _File:
        path = confined(self._dataset.root, data_path, "`data_path`")
        columns = tuple(opened_parquet(path).schema_arrow.names)
        known = [name for name in ("frame_index", "task_index") if name in columns]
        own = [name for name in self._named if name in columns]
        table = small_columns(path, list(dict.fromkeys(["episode_index", "timestamp", *known, *own])))
        return _File(
            rows=rows_of_episodes(table, path),
            frame_index=_frame_index(table, path),
            timestamps=number_column(table, "timestamp", pa.float64(), path).to_numpy(),
            tasks=number_column(table, "task_index", pa.int64(), path, nulls=True) if "task_index" in known else None,
            named={name: flat(table[name].to_pylist()) for name in own},
            columns=columns,
        )


def rows_of_episodes(table: pa.Table, path: Path) -> dict[int, Int64[np.ndarray, "t"]]:
    """The rows of each episode in the order of its frames; DataError where the columns that say it are none."""
    _check_columns(table.column_names, ["episode_index"], path)
    episodes = number_column(table, "episode_index", pa.int64(), path).to_numpy()
    frame_index = _frame_index(table, path)
    order = np.lexsort((np.arange(len(episodes)) if frame_index is None else frame_index, episodes))
    held, first = np.unique(episodes[order], return_index=True)
    ends = [*first[1:].tolist(), len(order)]
    return {index: order[start:end] for index, start, end in zip(held.tolist(), first.tolist(), ends, strict=False)}


def _frame_index(table: pa.Table, path: Path) -> Int64[np.ndarray, "n"] | None:
    known = "frame_index" in table.column_names
    return number_column(table, "frame_index", pa.int64(), path).to_numpy() if known else None


def flat(values: Sequence[Any]) -> list[Any]:
    """Values that are recorded as lists of one."""
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]


def small_columns(path: Path, names: list[str]) -> pa.Table:
    """These columns of a parquet file; DataError where it lacks one or can't be read."""
    _check_columns(opened_parquet(path).schema_arrow.names, names, path)
    return read_table(path, names)


def _check_columns(held: Sequence[str], names: list[str], path: Path) -> None:
    missing = [name for name in names if name not in held]
    if missing:
        raise DataError(f"{path} must have the columns {', '.join(names)}, but lacks {', '.join(missing)}")


def number_column(table: pa.Table, name: str, kind: pa.DataType, path: Path, *, nulls: bool = False) -> pa.ChunkedArray:
    """A column with one number a frame, lists of one included; DataError where it holds anything else."""
    column = table[name]
    if any(kind(column.type) for kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)):
        lengths = pc.list_value_length(column)
        column = pc.list_flatten(column) if pc.all(pc.equal(lengths, 1)).as_py() and not column.null_count else column
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    try:
        if not is_number or (column.null_count and not nulls):
            raise pa.ArrowInvalid(f"{column.type} with {column.null_count} nulls")
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise DataError(f"`{name}` in {path} must be one number a frame, but is not: {error}") from error
