"""Arrow files of datasets saved to disk: found, opened memory-mapped, and validated before anything reads them.

What a file unpacks to is held against its size before pyarrow takes memory for it (`rfm.files.limits`).
pyarrow trusts the offsets in a file: one that is damaged would end the process without a word. So whoever opens such
files has the columns it reads checked by `check_sound` first: offsets that rise and stay in their buffers, indices
within their dictionaries, text that is UTF-8. That reads the columns once: 0.16 s a million question rows of 650 bytes
that are in memory, 1.1 s from the disk that it was measured on, which needs half of that to read them.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rfm.errors import DataError
from rfm.files.documents.json_documents import read_json_object
from rfm.files.lfs import check_fetched
from rfm.files.limits import check_inflated, check_rows
from rfm.trajectories.arrow_messages import Declared, declarations

BROKEN_TABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for files and texts that are damaged."""
_SHARING = (
    pa.types.is_string_view, pa.types.is_binary_view, pa.types.is_list_view, pa.types.is_large_list_view,
    pa.types.is_run_end_encoded,
)  # fmt: skip
"""Kinds of columns whose rows may lie in one another, which no release of `datasets` writes."""
_WAY_OUT = "copy the file again, or make the dataset again"


def saved_files(saved: Path) -> list[Path]:
    """Return the data files of a saved dataset: those its state names, in the folder itself, or all that lie there."""
    if (saved / "dataset_dict.json").is_file():
        raise DataError(f"{saved} must be one dataset, but holds several splits: save the one you want by itself")
    state = saved / "state.json"
    if state.is_file():
        try:
            names = [entry["filename"] for entry in read_json_object(state, way_out=_WAY_OUT)["_data_files"]]
        except (KeyError, TypeError) as error:
            raise DataError(f"{state} must list the dataset's files under `_data_files`, but does not") from error
        files = [saved / _plain_name(name, state) for name in names]
    else:
        files = sorted(saved.glob("*.arrow"))
    if len(set(files)) < len(files):
        raise DataError(f"{state} must list each of the dataset's files once, but lists one twice")
    return files


def open_table(file: Path) -> pa.Table:
    """Return a memory-mapped table: its pages are read when a column is."""
    if not file.is_file():
        fault = "is no file" if file.exists() else "is not there"
        raise DataError(f"{file} must be a readable arrow stream, but {fault}; {_WAY_OUT}")
    try:
        table = opened_stream(file).read_all()
        str(table.column_names)  # decodes them
        return table
    except BROKEN_TABLE as error:
        check_fetched(file)
        raise DataError(f"{file} must be a readable arrow stream, but reading it gives: {error}; {_WAY_OUT}") from error


def opened_stream(file: Path) -> pa.RecordBatchReader:
    """The file's batches, memory-mapped, whose rows and unpacked buffers its size makes credible.

    Raises:
        DataError: they are not credible.
        BROKEN_TABLE: what pyarrow raises for a file that is no Arrow stream.

    """
    mapped = pa.memory_map(str(file))
    declared = _declared(mapped)
    check_rows(sum(one.rows for one in declared), mapped.size(), str(file))
    check_inflated(sum(one.unpacked for one in declared), mapped.size(), str(file))
    mapped.seek(0)
    return pa.ipc.open_stream(mapped)


def _declared(mapped: pa.MemoryMappedFile) -> list[Declared]:
    try:
        return list(declarations(mapped))
    except struct.error as error:
        raise pa.ArrowInvalid(f"damaged message: {error}") from error


def check_sound(file: Path, table: pa.Table) -> None:
    """Check what reading relies on; raises `DataError` that names the damaged column."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except BROKEN_TABLE as error:
            raise DataError(
                f"`{name}` in {file} must be a sound arrow column, but is damaged ({error}); {_WAY_OUT}"
            ) from error
    check_repeats(file, table)


def check_repeats(file: Path, table: pa.Table | pa.RecordBatch) -> None:
    """DataError where values that a column names many times and holds once would take far more than it, written out."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        size = sum(_written_out(chunk, f"`{name}` in {file}") for chunk in chunks)
        check_inflated(size, file.stat().st_size, f"`{name}` in {file}")


def _written_out(array: pa.Array, place: str) -> int:
    """The bytes of texts and binaries that several rows may share, once for each row; 0 where each row has its own."""
    kind = array.type
    if any(is_kind(kind) for is_kind in _SHARING):
        raise DataError(f"{place} must hold the values of its rows one after another, but is {kind}; {_WAY_OUT}")
    if pa.types.is_dictionary(kind):
        lengths = pc.fill_null(pc.binary_length(array.dictionary), 0) if _is_text(kind.value_type) else None
        return 0 if lengths is None else pc.sum(lengths.cast(pa.int64()).take(array.indices)).as_py() or 0
    if pa.types.is_struct(kind):
        return sum(_written_out(array.field(place_of), place) for place_of in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _written_out(array.flatten(), place)
    return 0


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(
        is_kind(kind) for is_kind in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    )


def _plain_name(name: object, state: Path) -> str:
    """Return the name of a file beside `state`; what leads elsewhere would be opened there."""
    if not isinstance(name, str) or name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise DataError(f"`filename` in {state} must name a file in that folder, but is {name!r}; {_WAY_OUT}")
    return name
