"""How many tokens each row of a dataset becomes, from its columns alone: for packing and for `--dry_run`.

In: a Hugging Face dataset with the columns of training, the encoder and the frame store of the run. Out: `RowLengths`,
equal to the lengths of `VQACollator.encode` for every row. A conversation's length is the sum of three parts: its
videos, which depend on sample type, counts and sizes of frames; its prompt; its answer. Each distinct part is encoded
once, so a million rows take seconds.

No frame is read. Where no size was asked for it follows from `frames_shape`; only rows that lack it have the header of
their file read, once a file.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from rfm.batch.clips import clips_of
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import VIDEO_NAMES, ConversationEncoder, Video
from rfm.errors import DataError
from rfm.files.limits import LONGEST_TEXT, MOST_SHOWN
from rfm.vqa.answers import read_answer
from rfm.vqa.schema import CLIP_PREFIXES, PREFIXES

logger = logging.getLogger(__name__)

BLOCK = 100_000
"""Rows looked at together."""


class RowLengths(NamedTuple):
    """Tokens of each row; one visual token is `merge_size` squared patches."""

    tokens: Int64[np.ndarray, " rows"]
    visual: Int64[np.ndarray, " rows"]
    answer: Int64[np.ndarray, " rows"]

    @property
    def longest(self) -> int:
        """The tokens of the longest row."""
        return int(self.tokens.max())


def row_lengths(rows: Any, encoder: ConversationEncoder, frames: FrameStore) -> RowLengths:
    """Return the lengths of all rows; raises `DataError` where one names no frames."""
    measure = _Measure(encoder, frames)
    names = [*_columns(), *(f"{prefix}frames_shape" for prefix in PREFIXES)]
    table = rows.select_columns([name for name in names if name in rows.column_names]).with_format("arrow")
    blocks = [measure.block(table[at : at + BLOCK], at) for at in range(0, len(rows), BLOCK)]
    return RowLengths(*(np.concatenate(part) for part in zip(*blocks, strict=True)))


def _columns() -> list[str]:
    clips = (f"{prefix}{name}" for prefix in PREFIXES for name in ("npz_path", "frame_indices"))
    return ["sample_type", "prompt", "answer", *clips]


class _Measure:
    """Lengths of parts, each found once."""

    def __init__(self, encoder: ConversationEncoder, frames: FrameStore) -> None:
        self.encoder, self.frames = encoder, frames
        self.sizes: dict[str, tuple[int, int]] = {}

    def block(self, table: pa.Table, first: int) -> RowLengths:
        _check_bounds(table, first)
        kinds = _codes(table["sample_type"])
        shapes = [self._shapes(table, prefix) for prefix in PREFIXES]
        key = np.column_stack([kinds[1], *shapes])
        combinations, first_row, which = np.unique(key, axis=0, return_index=True, return_inverse=True)
        videos = [
            self._videos(kinds[0][combination[0]], combination[1:].reshape(-1, 3), table, int(row), first + int(row))
            for combination, row in zip(combinations, first_row, strict=True)
        ]
        skeleton, visual = np.array(videos, np.int64).reshape(-1, 2)[which.reshape(-1)].T
        prompts = self._texts(table["prompt"], lambda text: len(self.encoder.text_ids(text)))
        answers = self._texts(table["answer"], lambda answer: len(self.encoder.answer_ids(_written(answer))))
        return RowLengths(skeleton + prompts + answers, visual, answers)

    def _texts(self, column: pa.ChunkedArray, measure: Any) -> Int64[np.ndarray, " rows"]:
        words, codes = _codes(column)
        return np.array([measure(word or "") for word in words], np.int64)[codes]

    def _shapes(self, table: pa.Table, prefix: str) -> Int64[np.ndarray, "rows 3"]:
        """Return count, height and width of a clip in each row, after resizing; 0 where there is none."""
        shapes = np.zeros((len(table), 3), np.int64)
        if f"{prefix}frame_indices" not in table.column_names:
            return shapes
        shapes[:, 0] = _lengths(table[f"{prefix}frame_indices"])
        used = np.flatnonzero(shapes[:, 0])
        stored = self._stored(table, prefix, used)
        sizes, which = np.unique(np.column_stack([shapes[used, 0], stored]), axis=0, return_inverse=True)
        shown = np.array([self.frames.size(*map(int, size)) for size in sizes], np.int64).reshape(-1, 2)
        shapes[used, 1:] = shown[which.reshape(-1)]
        return shapes

    def _stored(self, table: pa.Table, prefix: str, used: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, "k 2"]:
        """Return height and width of the frames as they are in their files."""
        stored = np.zeros((len(table), 2), np.int64)
        if self.frames.form.resized_height is not None:
            return stored[used]  # whatever the files hold
        known = np.zeros(len(table), bool)
        if f"{prefix}frames_shape" in table.column_names:
            column = table[f"{prefix}frames_shape"].combine_chunks()
            known = _lengths(column) == 4
            flat = pc.list_flatten(column.filter(pa.array(known))).to_numpy(zero_copy_only=False)
            stored[known] = flat.reshape(-1, 4)[:, 1:3]
            known &= stored.min(axis=1) > 0
        for row in used[~known[used]]:
            stored[row] = self._size_of(table[f"{prefix}npz_path"][int(row)].as_py())
        return stored[used]

    def _size_of(self, path: str) -> tuple[int, int]:
        if path not in self.sizes:
            self.sizes[path] = self.frames.stored_size(path)
        return self.sizes[path]

    def _videos(
        self, kind: str, shapes: Int64[np.ndarray, "prefixes 3"], table: pa.Table, row: int, number: int
    ) -> tuple[int, int]:
        """Return the tokens of a conversation without prompt and answer, and how many of them are visual."""
        at = dict(zip(PREFIXES, shapes.tolist(), strict=True))
        clips = [at[prefix] for prefix in CLIP_PREFIXES.get(kind, ())]
        if not clips or any(count == 0 for count, _, _ in clips):
            clips_of(table.slice(row, 1).to_pylist()[0], number)  # says what is wrong
            raise DataError(f"row {number} must name frames, but does not; regenerate the dataset with `rfm generate`")
        spec, as_images = self.encoder.spec, self.frames.form.use_multi_image
        videos = []
        for name, (count, height, width) in zip(VIDEO_NAMES[kind], clips, strict=True):
            rows, columns = height // spec.patch_size, width // spec.patch_size
            grids = (
                ((1, rows, columns),) * count
                if as_images
                else ((-(-count // spec.temporal_patch_size), rows, columns),)
            )
            videos.append(Video(name, count, grids, as_images))
        ids = self.encoder.encode(videos, "", None).ids
        pad = self.encoder.image_pad if as_images else self.encoder.video_pad
        return len(ids), int((ids == pad).sum())


def _check_bounds(table: pa.Table, first: int) -> None:
    """Raise `DataError` for the first row with more text or frames than a question may have, before any is encoded."""
    too_long = pc.fill_null(pc.utf8_length(table["prompt"]), 0).to_numpy() > LONGEST_TEXT
    for name in (name for name in table.column_names if name.endswith("frame_indices")):
        too_long |= _lengths(table[name]) > MOST_SHOWN
    for row in np.flatnonzero(too_long).tolist():
        clips_of(table.slice(row, 1).to_pylist()[0], first + row)  # says what is wrong


def _codes(column: pa.ChunkedArray) -> tuple[list[Any], Int64[np.ndarray, " rows"]]:
    """Return the distinct values of a column and each row's place among them."""
    encoded = pc.dictionary_encode(column, null_encoding="encode").combine_chunks()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _written(answer: Any) -> str:
    """Return an answer as the collator writes it, or as it stands where the collator will refuse it."""
    number = read_answer(answer)
    return str(answer if number is None else number)


def _lengths(column: Any) -> Int64[np.ndarray, " rows"]:
    return pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
