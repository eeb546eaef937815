"""Progress as a column of a LeRobot dataset: a copy of its folder in which the frames' tables have one more.

Rows are an episode's, in the order of its frames, as at ingest, which keeps some of them; between those that were kept
progress is interpolated. Frames of episodes without progress are null, and counted. The source is never changed.

Cost: the copy (hard links for everything but the tables), one table in memory at a time.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64, Int64

from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import parse_json, read_json_object
from rfm.files.documents.shapes import OBJECT, fields, fitted
from rfm.files.ownership import MADE_FROM, Kind, listed
from rfm.frames.npz.file import SOURCE_INDICES, read_beside
from rfm.frames.spacing import evenly_spaced
from rfm.ingest.lerobot.dataset import read_dataset, read_table
from rfm.ingest.lerobot.rows import rows_of_episodes
from rfm.scoring.dataset_copy import copy_dataset

logger = logging.getLogger(__name__)

_EPISODE = re.compile(r"_(\d+)$")
_INFO = Path("meta") / "info.json"
_MARK = Path("meta") / "rfm_progress.json"
_DESCRIBED = fields({"info": fields({"features": OBJECT})})
COPY = Kind("a copy with progress", "lerobot_output", (_MARK.as_posix(),), listed(_MARK.as_posix()))

Written = tuple[str, Float64[np.ndarray, " n"]]
"""An episode's id, and progress at each of its frames in the source."""


class EpisodeProgress(NamedTuple):
    """Progress in [0, 1] at each stored frame of an episode."""

    id: str
    values: Float64[np.ndarray, " t"]
    frames: Path
    """The file of its frames."""


def copy_with_column(source: Path, folder: Path, column: str, found: Sequence[EpisodeProgress]) -> list[Written]:
    """Write the copy with its column, and return what was written."""
    dataset = read_dataset(source)
    if column in dataset.features:
        raise ConfigError(f"`column` must be a new one, but {source} has `{column}`; name another by --column")
    by_index = {_index(one.id): one for one in found}
    written: list[Written] = []
    copy_dataset(source, folder, leave_out=(MADE_FROM, _MARK.name))  # of a copy that is copied
    files = sorted((folder / "data").rglob("*.parquet"))
    for file in tracked(files, "frames", len(files)):
        written += _add_column(source / file.relative_to(folder), file, column, by_index)
    _describe(folder / _INFO, column)
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    (folder / _MARK).write_text(json.dumps({"files": names}, indent=1) + "\n", encoding="utf-8")
    missing = dataset.total_episodes - len(written)
    if missing:
        logger.warning("%d of %d episodes have no progress: their frames are null", missing, dataset.total_episodes)
    if repeated := [name for name, count in Counter(name for name, _ in written).items() if count > 1]:
        raise DataError(f"the frames of {repeated[0]} must lie in one file of {source}, but lie in several")
    if not written:
        raise DataError(f"`lerobot` must be what the trajectories came from, but {source} has none of their episodes")
    return written


def _add_column(source: Path, target: Path, column: str, by_index: Mapping[int, EpisodeProgress]) -> list[Written]:
    table = read_table(source)
    values = np.full(len(table), np.nan, np.float32)
    written = []
    for index, rows in rows_of_episodes(table, source).items():
        if index in by_index:
            one = by_index[index]
            values[rows] = of_source = stretched(one.values, len(rows), _kept(one.frames))
            written.append((one.id, of_source))
    array = pa.array(values, pa.float32(), from_pandas=True)  # NaN becomes null
    table = table.append_column(pa.field(column, pa.float32()), array)
    metadata = dict(table.schema.metadata or {})
    if b"huggingface" in metadata:
        place = f"`huggingface` of {source}"
        described = fitted(parse_json(metadata[b"huggingface"], place), _DESCRIBED, place)
        described["info"]["features"][column] = {"dtype": "float32", "_type": "Value"}
        metadata[b"huggingface"] = json.dumps(described).encode()
    target.unlink()  # it may be a link to the source
    pq.write_table(table.replace_schema_metadata(metadata), target)
    return written


def _kept(frames: Path) -> Int64[np.ndarray, " t"] | None:
    """Return the places in the recording of the frames in the file; None where it does not say them."""
    return read_beside(frames, SOURCE_INDICES) if frames.suffix == ".npz" else None


def stretched(
    values: Float64[np.ndarray, " t"], total: int, kept: Int64[np.ndarray, " t"] | None = None
) -> Float64[np.ndarray, " n"]:
    """Return progress at all `total` frames of which those `kept` have `values`, straight lines between them.

    Without `kept` they are taken as evenly spaced.
    """
    kept = evenly_spaced(total, len(values)) if kept is None else kept
    if len(kept) != len(values) or (len(kept) and kept[-1] >= total):
        raise DataError(f"an episode must have at least its {len(values)} kept frames, but has {total} in the source")
    return np.interp(np.arange(total), kept, values)


def _index(name: str) -> int:
    """Return the episode's number, which ends the ids that `rfm ingest lerobot` gives."""
    found = _EPISODE.search(name)
    if found is None:
        raise DataError(f"`id` must end in the episode's number as `rfm ingest lerobot` gives it, but is `{name}`")
    return int(found.group(1))


def _describe(info: Path, column: str) -> None:
    content = read_json_object(info)
    content["features"][column] = {"dtype": "float32", "shape": [1], "names": None}
    info.unlink()
    info.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
