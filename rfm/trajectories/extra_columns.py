"""Columns of the trajectory datasets that the catalog does not keep, read when somebody asks for them.

Only the `id`s and the columns asked for are read; rows are found by their ids, which differ over all datasets of a
catalog, so a selection of a catalog works as well as the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32

from rfm.errors import DataError
from rfm.trajectories.catalog import Catalog
from rfm.trajectories.record import dataset_folder
from rfm.trajectories.store import read_columns
from rfm.trajectories.task_groups import encode


class ExtraColumns(NamedTuple):
    """What more there is to know of a catalog's n trajectories."""

    dataset: Int32[np.ndarray, " n"]
    """Index into `Catalog.keys`."""
    codes: dict[str, Int32[np.ndarray, " n"]]
    """Of each column asked for: equal where the text is equal, over all datasets; -1 where blank."""


def extra_columns(catalog: Catalog, names: Sequence[str] = ()) -> ExtraColumns:
    """Read the text columns `names`; raises DataError where the datasets have changed since the catalog was loaded."""
    tables = [read_columns(catalog.root / dataset_folder(key), ("id", *names)) for key in catalog.keys]
    table = pa.concat_tables(tables)
    at = pc.index_in(catalog.ids, value_set=table["id"].combine_chunks())
    if at.null_count:
        raise DataError(f"the datasets {', '.join(catalog.keys)} must not change while they are read, but did")
    dataset = np.repeat(np.arange(len(tables), dtype=np.int32), [part.num_rows for part in tables])
    rows = at.to_numpy().astype(np.int64)
    return ExtraColumns(dataset[rows], {name: _codes(table[name])[rows] for name in names})


def _codes(column: pa.ChunkedArray) -> Int32[np.ndarray, " r"]:
    text = pc.utf8_trim_whitespace(column.combine_chunks())
    return encode(pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text))[1]
