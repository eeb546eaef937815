"""From a list of dataset rows to one batch for the stock model and the plain Trainer.

Out: token tensors, padded on the left or packed (`rfm.batch.tokens.sequences` names them and their shapes), and with N
patches in all:

    pixel_values_videos         uint8 (N, d), or float32 with `normalise`; `pixel_values` in multi-image mode
    video_grid_thw              int64 (videos, 3); `image_grid_thw` in multi-image mode

Logits are computed where answers are and nowhere else: 60 MB instead of 15 GB for 16 rows over Qwen's vocabulary,
without a Trainer or model of our own, and the loss equals that of full logits.
`with_answers=False` gives the batch for generation: it ends where the answer begins and has no labels.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8

from rfm.batch.bad_rows import BadRows, named
from rfm.batch.clips import Row, clips_of
from rfm.batch.pictures.augmentation import Augmentation
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.pictures.patches import Grid, image_grid, normalise, patchify, patchify_images, video_grid
from rfm.batch.room import Patches, Room
from rfm.batch.tokens.conversation import VIDEO_NAMES, ConversationEncoder, Encoded, Video
from rfm.batch.tokens.sequences import IGNORE_INDEX, packed, padded
from rfm.errors import DataError
from rfm.files.limits import within_memory
from rfm.vqa.answers import valid_answer
from rfm.vqa.schema import CLIP_PREFIXES

BLANK = 128

Batch = dict[str, Any]
Clip = UInt8[np.ndarray, "t h w 3"]


class EncodedRow(NamedTuple):
    """A row ready for a batch: its conversation, and patches and grids of its clips."""

    conversation: Encoded
    patches: list[Patches]
    grids: list[Grid]


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
        augmentation: Augmentation | None = None,
        bad_rows: BadRows | None = None,
    ) -> None:
        if packed and not with_answers:
            raise ValueError("`packed` must be False without answers: packed batches are for training")
        self.encoder, self.frames = encoder, frames
        self.with_answers, self.packed = with_answers, packed
        self.normalise = normalise
        self.blank_share = blank_share
        """Share of rows whose every frame is replaced by mid-grey; which ones is a function of the row alone."""
        self.augmentation = augmentation or Augmentation()
        """What is changed in rows that have a seed for it."""
        self.bad_rows = bad_rows

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """Collate rows; one that cannot be used raises `DataError`, or is left out where `bad_rows` says so."""
        spec = self.encoder.spec
        width = 3 * spec.temporal_patch_size * spec.patch_size**2
        room = Room(sum(self._expected_patches(row) for row in rows), width)
        encoded = []
        for row in rows:
            parts = room.parts()
            try:
                encoded.append(self.encode(row, room))
            except DataError as error:
                room.give_back(parts)
                if self.bad_rows is None:
                    raise DataError(named(row, error)) from error
                self.bad_rows.handle(row, error)
        if not encoded:
            return self._stand_in()
        if self.bad_rows is not None:
            self.bad_rows.good(len(encoded))
        return self.batch(encoded, room)

    def encode(self, row: Row, room: Room | None = None) -> EncodedRow:
        """Encode one row, with its patches in `room` as far as there is some."""
        parts, grids, videos = [], [], []
        names = VIDEO_NAMES.get(row.get("sample_type", ""), ())
        clips, prompt = clips_of(row), _text(row, "prompt")
        answer = str(valid_answer(row["sample_type"], row.get("answer"))) if self.with_answers else None
        for reference, name in zip(clips, names, strict=True):
            with within_memory(f"the clip of {reference.path}"):
                clip = self._changed(row, self.frames.clip(reference))
                patches, cut = self._patches(clip, room)
            parts.append(patches)
            grids += cut
            videos.append(Video(name, len(clip), tuple(cut), self.frames.form.use_multi_image))
        return EncodedRow(self.encoder.encode(videos, prompt, answer), parts, grids)

    def batch(self, encoded: Sequence[EncodedRow], room: Room | None = None) -> Batch:
        """Pad or pack encoded rows and put their patches one after the other; `room` is that of all of them."""
        batch = self._tokens([row.conversation for row in encoded])
        parts = [part for row in encoded for part in row.patches]
        patches = torch.from_numpy(np.concatenate(parts)) if room is None else room.joined(parts)
        grids = torch.tensor([grid for row in encoded for grid in row.grids], dtype=torch.int64)
        images = self.frames.form.use_multi_image
        batch["pixel_values" if images else "pixel_values_videos"] = (
            normalise(patches, self.encoder.spec) if self.normalise else patches
        )
        batch["image_grid_thw" if images else "video_grid_thw"] = grids
        return batch

    def _stand_in(self) -> Batch:
        """Return a batch of one grey token that carries no loss: its gradient is zero, but every weight has one."""
        spec, images = self.encoder.spec, self.frames.form.use_multi_image
        clip = np.full((spec.temporal_patch_size, spec.side, spec.side, 3), BLANK, np.uint8)
        patches, grids = self._patches(clip, None)
        video = Video("", len(clip), tuple(grids), images)
        encoded = self.encoder.encode([video], "unreadable", "1" if self.with_answers else None)
        batch = self.batch([EncodedRow(encoded, [patches], grids)])
        for name in batch.keys() & {"labels", "shift_labels"}:
            batch[name] = torch.full_like(batch[name], IGNORE_INDEX)
        return batch

    def _expected_patches(self, row: Row) -> int:
        """Return how many patches a row should have by its own account; what it is wrong by costs time alone."""
        total = 0
        for prefix in CLIP_PREFIXES.get(row.get("sample_type", ""), ()):
            indices = row.get(f"{prefix}frame_indices") or []
            shape: list[int] = row.get(f"{prefix}frames_shape") or []
            if len(shape) == 4 and min(shape) > 0:
                with suppress(DataError):  # too much to be shown: whoever encodes the row says so
                    height, width = self.frames.size(len(indices), shape[1], shape[2])
                    total += math.prod(self._grid(len(indices), height, width))
        return total

    def _changed(self, row: Row, clip: Clip) -> Clip:
        clip = self.augmentation.apply(row, clip)
        return np.full_like(clip, BLANK) if self.blank_share and _ticket(row) < self.blank_share else clip

    def _grid(self, count: int, height: int, width: int) -> Grid:
        grid = image_grid if self.frames.form.use_multi_image else video_grid
        return grid(count, height, width, self.encoder.spec)

    def _patches(self, clip: Clip, room: Room | None) -> tuple[Patches, list[Grid]]:
        grid = self._grid(clip.shape[0], clip.shape[1], clip.shape[2])
        out = None if room is None else room.take(math.prod(grid))
        if self.frames.form.use_multi_image:
            return patchify_images(clip, self.encoder.spec, out)
        return patchify(clip, self.encoder.spec, out)[0], [grid]

    def _tokens(self, conversations: Sequence[Encoded]) -> Batch:
        if self.packed:
            return packed(conversations)
        return padded(conversations, self.encoder.pad, with_answers=self.with_answers)


def _ticket(row: Row) -> float:
    """Return a number in [0, 1) that depends on the row's question and frames, not on its place or the run."""
    question = repr([row["prompt"], *clips_of(row)])
    return zlib.crc32(question.encode()) / 2**32


def _text(row: Row, field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value:
        raise DataError(f"`{field}` must be a text, but is {value!r} ({row.get('sample_type')} row of the dataset)")
    return value
