"""The clips a dataset row refers to: which frames of which file, in the order they are shown.

In: a row of the VQA dataset. Out: one `ClipReference` a video, in the conversation's order. No file is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rfm.errors import DataError
from rfm.files.limits import LONGEST_TEXT, MOST_SHOWN
from rfm.vqa.schema import CLIP_PREFIXES

Row = Mapping[str, Any]


class ClipReference(NamedTuple):
    """Frames `indices` of the file `path`, which is relative to the datasets root."""

    path: str
    indices: tuple[int, ...]


def clips_of(row: Row, position: int | None = None) -> list[ClipReference]:
    """Return the clips of a row; `position` is its place in the dataset, for messages.

    Raises `DataError` on an unknown `sample_type`, on null paths or indices, which datasets had that were written
    before every row carried every column, and on more text or frames than a question may have.
    """
    where = "" if position is None else f"row {position}, "
    prompt = row.get("prompt")
    if isinstance(prompt, str) and len(prompt) > LONGEST_TEXT:
        raise DataError(
            f"`prompt` must have at most {LONGEST_TEXT} characters, but has {len(prompt)} ({where or 'a row '}of the "
            "dataset)"
        )
    kind = row.get("sample_type")
    if kind not in CLIP_PREFIXES:
        raise DataError(
            f"`sample_type` must be one of {sorted(CLIP_PREFIXES)}, but is {kind!r} ({where or 'a row '}of the dataset)"
        )
    return [_clip(row, prefix, where) for prefix in CLIP_PREFIXES[kind]]


def _clip(row: Row, prefix: str, where: str) -> ClipReference:
    path, indices = row.get(f"{prefix}npz_path"), row.get(f"{prefix}frame_indices")
    if not path or indices is None or len(indices) == 0:
        field = f"{prefix}npz_path" if not path else f"{prefix}frame_indices"
        raise DataError(
            f"npz_filepath is None or empty: `{field}` must name frames, but is {row.get(field)!r} ({where}sample_type"
            f" {row['sample_type']}, a dataset made before the schema fix); regenerate it with `rfm generate`"
        )
    if len(indices) > MOST_SHOWN:
        raise DataError(
            f"`{prefix}frame_indices` must name at most {MOST_SHOWN} frames, but names {len(indices)} ({where}frames "
            f"of {path})"
        )
    if None in indices:
        raise DataError(
            f"`{prefix}frame_indices` must hold numbers, but holds nulls ({where}frames of {path}); regenerate it with "
            "`rfm generate`"
        )
    return ClipReference(str(path), tuple(int(index) for index in indices))
