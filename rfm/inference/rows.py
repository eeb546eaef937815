"""What answering needs to know of a row without opening its frames: its name, its length, its twin. No torch."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from rfm.batch.clips import Row, clips_of
from rfm.errors import DataError

CLIP_COLUMNS = ("npz_path", "frame_indices")


def row_digest(row: Row, *settings: Any) -> str:
    """Return a name for the question that a row asks (prompt and frames), together with JSON-able settings."""
    shown = {name: row[name] for name in sorted(row) if name.endswith(CLIP_COLUMNS) and row[name] is not None}
    question = [row.get("sample_type"), row.get("prompt"), shown, *settings]
    return hashlib.blake2b(json.dumps(question, default=str).encode(), digest_size=16).hexdigest()


def row_length(row: Row) -> tuple[int, int]:
    """Return what orders rows by their number of tokens: shown frames (in pairs, as the tower sees them), and text."""
    try:
        frames = sum((len(clip.indices) + 1) // 2 for clip in clips_of(row))
    except DataError:  # a broken row has no length; what is wrong with it comes out when it is asked
        frames = 0
    return frames, len(row.get("prompt") or "")


def videos_swapped(row: Row) -> Row:
    """Return the same question with the first and the second video in each other's place; the answer stays."""
    other = {"first_": "second_", "second_": "first_"}
    swapped = dict(row)
    for name in row:
        for prefix, twin in other.items():
            if name.startswith(prefix) and twin + name[len(prefix) :] in row:
                swapped[name] = row[twin + name[len(prefix) :]]
    return swapped
