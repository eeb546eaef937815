"""Progress as a column of a LeRobot dataset: a copy of its folder in which the frames' tables have one more.

Rows are an episode's, in the order of its frames. Frames of episodes without progress are null, and counted. The source
is never changed.

Cost: the copy (hard links for everything but the tables), one table in memory at a time. Whatever may be wrong with the
dataset is found by `check_column` before the model is asked, but for tables whose pages are damaged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64

from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import parse_json, read_json_object
from rfm.files.documents.shapes import OBJECT, fields, fitted
from rfm.files.ownership import MADE_FROM, Kind, listed
from rfm.ingest.lerobot.dataset import read_dataset, read_table
from rfm.ingest.lerobot.rows import rows_of_episodes
from rfm.ingest.reading import opened_parquet
from rfm.scoring.relabelling.dataset_copy import check_copied, copy_dataset
from rfm.scoring.relabelling.frame_tables import Counts, check_length, frame_tables

logger = logging.getLogger(__name__)

_INFO = Path("meta") / "info.json"
_MARK = Path("meta") / "rfm_progress.json"
_LEFT_OUT = (MADE_FROM, _MARK.name)
"""Of a copy that is copied."""
_NUMBERS = ("episode_index", "frame_index")
_DESCRIBED = fields({"info": fields({"features": OBJECT})})
COPY = Kind("a copy with progress", "output", (_MARK.as_posix(),), listed(_MARK.as_posix()))

Values = Callable[[int], Float32[np.ndarray, " t"] | None]
"""Of an episode's number: the value at each of its frames; None where it has none."""


def check_column(source: Path, column: str, counts: Counts) -> None:
    """Raise what would keep the copy from being made, whatever its values are: ConfigError where the column is there.

    DataError for links that leave the dataset, and for tables whose rows are not those of the episodes.
    """
    _check_new(read_dataset(source).features, column, source)
    check_copied(source, _LEFT_OUT)
    episodes: dict[int, Path] = {}
    for path in frame_tables(source):
        schema = opened_parquet(path).schema_arrow
        _check_new(schema.names, column, path)
        _described(schema.metadata or {}, column, path)
        table = read_table(path, [name for name in _NUMBERS if name in schema.names])
        for number, rows in _rows(table, path, episodes):
            check_length(number, counts.get(number), len(rows), path)


def copy_with_column(source: Path, folder: Path, column: str, values: Values, left_out: int) -> int:
    """Write the copy with its column, and return how many frames have a value; first `check_column`.

    `left_out` is how many episodes have none, to be said by whoever finds the copy.
    """
    copy_dataset(source, folder, _LEFT_OUT)
    files = frame_tables(folder)
    episodes: dict[int, Path] = {}
    total = 0
    for file in tracked(files, "frames", len(files)):
        total += _add_column(source / file.relative_to(folder), file, column, values, episodes)
    _describe(folder / _INFO, column)
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    mark = json.dumps({"files": names, "left_out": left_out}, indent=1) + "\n"
    (folder / _MARK).write_text(mark, encoding="utf-8")  # last: it says that all is there
    return total


def is_whole(folder: Path) -> bool:
    """Whether all of a copy is there."""
    return (folder / _MARK).is_file()


def left_out_of(folder: Path) -> int:
    """Return how many episodes of a copy have no progress."""
    return int(read_json_object(folder / _MARK).get("left_out", 0))


def _add_column(source: Path, target: Path, column: str, values: Values, episodes: dict[int, Path]) -> int:
    table = read_table(source)
    _check_new(table.column_names, column, source)
    new = np.full(len(table), np.nan, np.float32)
    for number, rows in _rows(table, source, episodes):
        if (of_episode := values(number)) is not None:
            check_length(number, len(of_episode), len(rows), source)
            new[rows] = of_episode
    array = pa.array(new, pa.float32(), from_pandas=True)  # NaN becomes null
    table = table.append_column(pa.field(column, pa.float32()), array)
    target.unlink()  # it may be a link to the source
    pq.write_table(table.replace_schema_metadata(_described(table.schema.metadata or {}, column, source)), target)
    return len(array) - int(array.null_count)


def _check_new(names: Collection[str], column: str, place: Path) -> None:
    if column in names:
        raise ConfigError(f"`column` must be a new one, but {place} has `{column}`; name another by --column")


def _rows(table: pa.Table, path: Path, episodes: dict[int, Path]) -> Iterator[tuple[int, Int64[np.ndarray, " t"]]]:
    """Yield the rows of each episode; `episodes` are the files in which they lie as far as is known."""
    for number, rows in rows_of_episodes(table, path).items():
        if episodes.setdefault(number, path) != path:
            raise DataError(
                f"the frames of episode {number} must lie in one file, but lie in {episodes[number]} and {path}"
            )
        yield number, rows


def _described(metadata: dict[bytes, bytes], column: str, source: Path) -> dict[bytes, bytes]:
    """Return what the table says of its columns, with the new one where the `datasets` library looks for it."""
    if b"huggingface" not in metadata:
        return metadata
    place = f"`huggingface` of {source}"
    described = fitted(parse_json(metadata[b"huggingface"], place), _DESCRIBED, place)
    described["info"]["features"][column] = {"dtype": "float32", "_type": "Value"}
    return {**metadata, b"huggingface": json.dumps(described).encode()}


def _describe(info: Path, column: str) -> None:
    content = read_json_object(info)
    content["features"][column] = {"dtype": "float32", "shape": [1], "names": None}
    info.unlink()
    info.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
