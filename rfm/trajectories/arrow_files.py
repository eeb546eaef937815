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

from rfm.errors import DataError
from rfm.files.documents.json_documents import read_json_object
from rfm.files.lfs import check_fetched
from rfm.files.limits import check_inflated, check_rows
from rfm.trajectories.arrow_messages import Declared, declarations

BROKEN_TABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for files and texts that are damaged."""
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


def _plain_name(name: object, state: Path) -> str:
    """Return the name of a file beside `state`; what leads elsewhere would be opened there."""
    if not isinstance(name, str) or name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise DataError(f"`filename` in {state} must name a file in that folder, but is {name!r}; {_WAY_OUT}")
    return name
