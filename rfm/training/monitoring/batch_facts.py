"""What a batch consists of, carried along with it from the loader's worker to the step.

Out: every batch of the wrapped collator with one entry more, `facts`: the positions of its rows in the dataset and how
many tokens they have. A step that fails can then name its rows, whatever the sampler, the number of workers and
processes, accumulation and packing made of their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfm.batch.bad_rows import NUMBER_COLUMN as ROW_COLUMN
from rfm.batch.clips import Row, clips_of

KEY = "facts"


@dataclass(frozen=True)
class BatchFacts:
    """Rows and tokens of one batch."""

    rows: tuple[int, ...]
    tokens: int
    """Without padding."""
    width: int
    """Positions that the model computes: rows times the longest, padding included."""
    patches: int
    answer_tokens: int
    """Places that logits are computed at: a row of a padded batch, or on average of a packed one."""


@dataclass(frozen=True)
class CountingCollator:
    """Adds `facts` to what a collator makes; picklable as the collator is."""

    collator: Callable[[Sequence[Row]], dict[str, Any]]

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Collate rows of a dataset `with_row_numbers`."""
        batch = self.collator(rows)
        mask, ids = batch.get("attention_mask"), batch["input_ids"]
        tokens = ids.numel() if mask is None else int(mask.sum())
        numbers = tuple(row[ROW_COLUMN] for row in rows if row.get(ROW_COLUMN) is not None)
        patches = sum(len(batch[name]) for name in ("pixel_values", "pixel_values_videos") if name in batch)
        keep = batch.get("logits_to_keep", 0)
        answers = -(-keep.numel() // max(len(rows), 1)) if hasattr(keep, "numel") else int(keep)
        return {**batch, KEY: BatchFacts(numbers, tokens, ids.numel(), patches, answers)}


def with_row_numbers(rows: Any) -> Any:
    """Return a Hugging Face dataset with each row's position in it."""
    return rows.add_column(ROW_COLUMN, np.arange(len(rows), dtype=np.int64))


def describe(number: int, row: Mapping[str, Any]) -> str:
    """Return one line that lets a reader find a row: number, type, answer, last line of the prompt, frames."""
    task = str(row.get("prompt") or "").strip().splitlines()[-1:]
    clips = ", ".join(f"{clip.path} frames {clip.indices[0]}..{clip.indices[-1]}" for clip in clips_of(row, number))
    return f"row {number}: {row['sample_type']}, answer {row['answer']}, {''.join(task)[:100]!r}, {clips}"
