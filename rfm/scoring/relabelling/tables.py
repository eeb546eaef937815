"""Progress as parquet files: the one that LeRobot weights samples by, and a plain one.

    lerobot   index, episode_index, frame_index (int64), progress_sparse (float32), a row each row of the dataset
    parquet   episode (text), frame (int64), progress, reward (float32), a row a frame

LeRobot's `RABCWeights` (lerobot/rewards/sarm/rabc.py) looks progress up by `index`, and takes what is `chunk_size`
further in the same episode for the future: so `index` must count the frames of each episode one by one, and no two
frames may share one. It leaves frames without progress their full weight, and so they stand here as nulls.

Cost: rows are written by the 100,000, whatever their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from rfm.errors import DataError
from rfm.ingest.lerobot.rows import number_column, rows_of_episodes, small_columns
from rfm.scoring.relabelling.frame_tables import Counts, check_length, frame_tables
from rfm.scoring.relabelling.scores import Scores, rewards

_AT_ONCE = 100_000
_NUMBERS = ("index", "episode_index", "frame_index")
_LEROBOT = pa.schema([*((name, pa.int64()) for name in _NUMBERS), ("progress_sparse", pa.float32())])
_PLAIN = pa.schema(
    [("episode", pa.string()), ("frame", pa.int64()), ("progress", pa.float32()), ("reward", pa.float32())]
)


class _Rows(NamedTuple):
    """An episode's rows, in the order of its frames."""

    episode: int
    path: Path
    indices: Int64[np.ndarray, " t"]
    frames: Int64[np.ndarray, " t"]


def write_plain(file: Path, scores: Scores, metadata: Mapping[str, str]) -> int:
    """Write a row a frame of each episode that has progress, and return how many."""
    episodes = (
        {
            "episode": [told.id] * len(told.values),
            "frame": np.arange(len(told.values)),
            "progress": told.values,
            "reward": rewards(told.values),
        }
        for told in scores
        if told.values is not None
    )
    return _write(file, _PLAIN, episodes, metadata)


def write_lerobot(file: Path, dataset: Path, scores: Scores, metadata: Mapping[str, str]) -> int:
    """Write a row each row of a LeRobot dataset, and return how many; DataError where its `index` can't be used."""
    return _write(file, _LEROBOT, _lerobot_episodes(dataset, scores), metadata)


def check_rows(dataset: Path, counts: Counts) -> None:
    """DataError where the rows of a LeRobot dataset can't be used, whatever their progress is."""
    for rows in _lerobot_rows(dataset):
        check_length(rows.episode, counts.get(rows.episode), len(rows.indices), rows.path)


def _lerobot_episodes(dataset: Path, scores: Scores) -> Iterator[dict[str, Any]]:
    for rows in _lerobot_rows(dataset):
        values, count = scores.of(rows.episode), len(rows.indices)
        check_length(rows.episode, None if values is None else len(values), count, rows.path)
        yield {
            "index": rows.indices,
            "episode_index": np.full(count, rows.episode),
            "frame_index": rows.frames,
            "progress_sparse": pa.nulls(count, pa.float32()) if values is None else values,
        }


def _lerobot_rows(dataset: Path) -> Iterator[_Rows]:
    spans: list[tuple[int, int, int]] = []
    for path in frame_tables(dataset):
        table = small_columns(path, list(_NUMBERS))
        index, frames = (number_column(table, name, pa.int64(), path).to_numpy() for name in ("index", "frame_index"))
        for number, rows in rows_of_episodes(table, path).items():
            _check_counts(index[rows], number, path)
            spans.append((int(index[rows[0]]), int(index[rows[-1]]), number))
            yield _Rows(number, path, index[rows], frames[rows])
    _check_apart(spans, dataset)


def _check_counts(index: Int64[np.ndarray, " t"], number: int, path: Path) -> None:
    if (np.diff(index) != 1).any():
        raise DataError(
            f"`index` must count the frames of episode {number} one by one, as LeRobot weights samples by it, but does "
            f"not in {path}; take --format column, or write the dataset anew with the lerobot package"
        )


def _check_apart(spans: list[tuple[int, int, int]], dataset: Path) -> None:
    for (_, last, one), (first, _, other) in pairwise(sorted(spans)):
        if first <= last:
            both = f"{min(one, other)} and {max(one, other)}"
            raise DataError(
                f"`index` must differ in all frames of {dataset}, but {first} is of episodes {both}; take --format "
                "column, or write the dataset anew with the lerobot package"
            )


def _write(file: Path, schema: pa.Schema, episodes: Iterable[dict[str, Any]], metadata: Mapping[str, str]) -> int:
    total, held, waiting = 0, list[pa.Table](), 0
    described = schema.with_metadata(dict(metadata))
    with pq.ParquetWriter(file, described) as writer:
        for columns in episodes:
            held.append(pa.table(columns, described))
            waiting += held[-1].num_rows
            if waiting >= _AT_ONCE:
                writer.write_table(pa.concat_tables(held))
                total, waiting, held = total + waiting, 0, []
        if held:
            writer.write_table(pa.concat_tables(held))
    return total + waiting
