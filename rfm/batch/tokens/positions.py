"""The three rows of rotary positions (time, height, width) of a sequence with visual blocks.

In: which tokens of one sequence are visual pads, and the blocks of visual tokens in order of appearance.
Out: int64 (3, length).

Text counts on in all three rows. A block of (t, h, w) visual tokens starting at position s has s + time steps, s +
row and s + column, and what follows it continues behind the largest position of the block in any of the three rows.
Source: Qwen2-VL (arXiv:2409.12191), section 2.1 (M-RoPE); Qwen3-VL gives each temporal patch a block of its own.

That is `get_rope_index` of transformers 4.49 to 5.2 and of vLLM, which released weights were trained with. From 5.3 on
the stock function lets what follows a video of Qwen2.5-VL continue at s + max(h, w), whatever its times: 16 frames of
224 x 224 end at s + 14 in time, and the text behind them stands at s + 8 there, at s + 15 here. For images and for
Qwen3-VL all of them agree. So positions are always given to the models, which would count in the other way by
themselves. The stock function walks over tokens in Python inside the training step; this one is a few numpy
operations in the loader's workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from rfm.batch.pictures.patches import Grid, VisionSpec


class Block(NamedTuple):
    """A run of visual tokens: its grid after merging and the position steps from one temporal patch to the next."""

    time: int
    height: int
    width: int
    time_step: float = 1.0

    @property
    def tokens(self) -> int:
        """How many tokens the run has."""
        return self.time * self.height * self.width


def video_blocks(grid: Grid, spec: VisionSpec, seconds_per_patch: float) -> list[Block]:
    """Return the blocks of one video: one a temporal patch for Qwen3-VL, one for all of Qwen2.5-VL's."""
    time, height, width = grid[0], grid[1] // spec.merge_size, grid[2] // spec.merge_size
    if spec.family == "qwen3_vl":
        return [Block(1, height, width)] * time
    return [Block(time, height, width, spec.tokens_per_second * seconds_per_patch)]


def image_blocks(grids: Sequence[Grid], spec: VisionSpec) -> list[Block]:
    """Return one block an image."""
    return [Block(1, rows // spec.merge_size, columns // spec.merge_size) for _, rows, columns in grids]


def rope_positions(is_visual: Bool[np.ndarray, "length"], blocks: Sequence[Block]) -> Int64[np.ndarray, "3 length"]:
    """Return the positions of one unpadded sequence; `blocks` must cover its visual tokens exactly."""
    visual = np.flatnonzero(is_visual)
    shape = np.array([[b.time, b.height, b.width] for b in blocks], dtype=np.int64).reshape(-1, 3)
    steps = np.array([b.time_step for b in blocks], dtype=np.float32)
    counts = shape.prod(axis=1)
    if counts.sum() != len(visual):
        raise ValueError(f"`blocks` must cover the {len(visual)} visual tokens, but cover {counts.sum()}")
    starts = np.cumsum(counts) - counts
    advance = np.where(is_visual, 0, 1)
    last_time = ((shape[:, 0] - 1) * steps).astype(np.int64)
    advance[visual[starts]] = np.column_stack([last_time + 1, shape[:, 1:]]).max(axis=1, initial=0)
    positions = np.tile(np.cumsum(advance) - advance, (3, 1))
    block = np.repeat(np.arange(len(blocks)), counts)
    within = np.arange(len(visual)) - starts[block]
    height, width = shape[block, 1], shape[block, 2]
    base = positions[0, visual[starts]][block]
    positions[0, visual] = base + (within // (height * width) * steps[block]).astype(np.int64)
    positions[1, visual] = base + within // width % height
    positions[2, visual] = base + within % width
    return positions
