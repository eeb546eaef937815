"""From a list of dataset rows to one batch for the stock model and the plain Trainer.

Out: token tensors, padded on the left or packed (`rfm.batch.sequences` names them and their shapes), and with N
patches in all:

    pixel_values_videos         uint8 (N, d), or float32 with `normalise`; `pixel_values` in multi-image mode
    video_grid_thw              int64 (videos, 3); `image_grid_thw` in multi-image mode

Logits are computed where answers are and nowhere else: 60 MB instead of 15 GB for 16 rows over Qwen's vocabulary,
without a Trainer or model of our own, and the loss equals that of full logits.
`with_answers=False` gives the batch for generation: it ends where the answer begins and has no labels.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from rfm.batch.clips import Row, clips_of
from rfm.batch.colour_jitter import SEED_COLUMN, ColourJitter
from rfm.batch.conversation import VIDEO_NAMES, ConversationEncoder, Encoded, Video
from rfm.batch.frame_store import FrameStore
from rfm.batch.patches import Grid, normalise, patchify, patchify_images
from rfm.batch.sequences import packed, padded
from rfm.errors import DataError

BLANK = 128

Batch = dict[str, Any]
Patches = UInt8[np.ndarray, "n d"]


class VQACollator:
    """Makes batches of rows; picklable, so that it can run in loader workers."""

    def __init__(
        self,
        encoder: ConversationEncoder,
        frames: FrameStore,
        *,
        with_answers: bool = True,
        packed: bool = False,
        normalise: bool = False,
        blank_share: float = 0.0,
        colour_jitter: float = 0.0,
    ) -> None:
        if packed and not with_answers:
            raise ValueError("`packed` must be False without answers: packed batches are for training")
        self.encoder, self.frames = encoder, frames
        self.with_answers, self.packed = with_answers, packed
        self.normalise = normalise
        self.blank_share = blank_share
        """Share of rows whose every frame is replaced by mid-grey; which ones is a function of the row alone."""
        self.colour_jitter = colour_jitter
        """How far colours of rows that have a `jitter_seed` are changed, see `rfm.batch.colour_jitter`."""

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """Collate rows; raises `DataError` where one of them cannot be used."""
        return self.batch([self.encode(row) for row in rows])

    def encode(self, row: Row) -> tuple[Encoded, list[Patches], list[Grid]]:
        """Encode one row: its conversation, patches and grids."""
        clips = [self.frames.clip(reference) for reference in clips_of(row)]
        if self.colour_jitter and row.get(SEED_COLUMN) is not None:
            jitter = ColourJitter.draw(row[SEED_COLUMN], self.colour_jitter)
            clips = [jitter.apply(clip) for clip in clips]
        if _ticket(row) < self.blank_share:
            clips = [np.full_like(clip, BLANK) for clip in clips]
        cut = [self._patches(clip) for clip in clips]
        names = VIDEO_NAMES[row["sample_type"]]
        as_images = self.frames.form.use_multi_image
        videos = [
            Video(name, len(clip), tuple(grids), as_images)
            for name, clip, (_, grids) in zip(names, clips, cut, strict=True)
        ]
        encoded = self.encoder.encode(videos, _text(row, "prompt"), _text(row, "answer") if self.with_answers else None)
        return encoded, [patches for patches, _ in cut], [grid for _, grids in cut for grid in grids]

    def batch(self, encoded: Sequence[tuple[Encoded, list[Patches], list[Grid]]]) -> Batch:
        """Pad or pack encoded rows and put their patches one after the other."""
        batch = self._tokens([conversation for conversation, _, _ in encoded])
        patches = torch.from_numpy(np.concatenate([part for _, parts, _ in encoded for part in parts]))
        grids = torch.tensor([grid for _, _, grids in encoded for grid in grids], dtype=torch.int64)
        images = self.frames.form.use_multi_image
        batch["pixel_values" if images else "pixel_values_videos"] = (
            normalise(patches, self.encoder.spec) if self.normalise else patches
        )
        batch["image_grid_thw" if images else "video_grid_thw"] = grids
        return batch

    def _tokens(self, conversations: Sequence[Encoded]) -> Batch:
        visual = self.encoder.image_pad if self.frames.form.use_multi_image else self.encoder.video_pad
        if self.packed:
            return packed(conversations, visual)
        return padded(conversations, self.encoder.pad, visual, with_answers=self.with_answers)

    def _patches(self, clip: UInt8[np.ndarray, "t h w 3"]) -> tuple[Patches, list[Grid]]:
        if self.frames.form.use_multi_image:
            return patchify_images(clip, self.encoder.spec)
        patches, grid = patchify(clip, self.encoder.spec)
        return patches, [grid]


def _ticket(row: Row) -> float:
    """Return a number in [0, 1) that depends on the row's question and frames, not on its place or the run."""
    question = repr([row["prompt"], *clips_of(row)])
    return zlib.crc32(question.encode()) / 2**32


def _text(row: Row, field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value:
        raise DataError(f"`{field}` must be a text, but is {value!r} ({row.get('sample_type')} row of the dataset)")
    return value
