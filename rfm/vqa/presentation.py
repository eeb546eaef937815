"""How a dataset puts its questions, as far as answers depend on it: what a checkpoint remembers of its training.

In: rows and, where there is one, the dataset's `generation_config.json`. Out: `Presentation`, with None for what
neither says. What is counted is counted in the rows, so datasets of other makers have it too. A clip that shows all
frames of its path says nothing about how many a longer one would show; one that leaves frames out says that it may not
show more. That is the rows' account of `data.max_frames` where no record has it.

Cost: one pass over the numbers of the shown frames, seconds a million rows. No frame is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from rfm.configs.experiment_configs import MOST_FRAMES
from rfm.frames.spacing import EVENLY
from rfm.vqa.schema import PREFIXES, is_integers

_BLOCK = 100_000
_COLUMNS = tuple(f"{prefix}frame_indices" for prefix in PREFIXES)


class Presentation(NamedTuple):
    """What a model that was trained on questions of one kind should be asked."""

    max_frames: int | None = None
    """Frames of the clip that shows most."""
    limit: int | None = None
    """Frames that a clip may show: as many as the longest path has if that is fewer."""
    frame_choice: str | None = None
    prompt_version: int | None = None
    discrete_progress: bool | None = None


def presentation(rows: Any, config: Mapping[str, Any]) -> Presentation:
    """Return how rows are put; `rows` is a Hugging Face dataset, or a sequence of mappings."""
    settings = (config.get("config") or {}).get("data") or {}
    most, limit = _shown(_tables(rows))
    recorded = settings.get("max_frames")
    return Presentation(
        most,
        max(recorded, most or 0) if type(recorded) is int else limit,
        EVENLY if settings else None,
        _typed(config.get("prompt_version"), int),
        _typed(settings.get("discrete_progress"), bool),
    )


def _typed(value: Any, kind: type) -> Any:
    return value if type(value) is kind else None


def _tables(rows: Any) -> Iterator[pa.Table]:
    """Yield the shown frames of rows, a column for each clip that rows can have; nothing of rows that are broken."""
    if not hasattr(rows, "with_format"):
        yield pa.table({name: _column(rows, name) for name in _COLUMNS})
        return
    held = [name for name in _COLUMNS if name in rows.column_names]
    table = rows.select_columns(held).with_format("arrow")
    for at in range(0, len(rows) if held else 0, _BLOCK):
        yield table[at : at + _BLOCK]


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> pa.Array:
    lists = [rows[at].get(name) for at in range(len(rows))]
    try:
        return pa.array(lists, pa.list_(pa.int64()))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # asking such a row says what is wrong with it
        return pa.nulls(len(rows), pa.list_(pa.int64()))


def _shown(tables: Iterator[pa.Table]) -> tuple[int | None, int | None]:
    """Return the most frames of a clip, and the most of those clips that leave frames of their path out.

    The two clips of a pair show equally many frames, so only pairs that leave some out in both say anything.
    """
    most = limit = 0
    for table in tables:
        counts, skips = zip(*(_clips(table[name].combine_chunks()) for name in table.column_names), strict=True)
        frames = np.stack(counts)
        most = max(most, int(frames.max(initial=0)))
        whole = (np.stack(skips) | (frames == 0)).all(axis=0)
        limit = max(limit, int(frames[:, whole].max(initial=0)))
    return most or None, limit or None


def _clips(column: pa.Array) -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Return how many frames each clip shows, and whether it goes past frames without showing them.

    0 for clips longer than any that is read.
    """
    if not is_integers(column.type):
        return np.zeros(len(column), np.int64), np.zeros(len(column), bool)
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    frames = pc.fill_null(pc.list_flatten(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    clip = np.repeat(np.arange(len(counts)), counts)
    past = (np.abs(np.diff(frames)) > 1) & (np.diff(clip) == 0)
    skips = np.bincount(clip[1:][past], minlength=len(counts)) > 0
    return np.where(counts <= MOST_FRAMES, counts, 0), skips
