"""Frames brought to an exact size.

`box` (or `area`, its other name) averages: right for reducing, which is the usual case. Where height and width shrink
by whole numbers, the average of each block is taken over all frames in one pass (224 to 32: 7 x 7 blocks, 3 ms for 32
frames); otherwise Pillow resizes frame by frame.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rfm.errors import ConfigError

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resize_frames(
    frames: UInt8[np.ndarray, "t h w 3"], height: int, width: int, filter: str = "box"
) -> UInt8[np.ndarray, "t height width 3"]:
    """The frames at `height` x `width` pixels; the aspect ratio is the caller's business."""
    if filter not in FILTERS:
        raise ConfigError(f"`filter` must be one of {', '.join(FILTERS)}, but is `{filter}`")
    if height < 1 or width < 1:
        raise ConfigError(f"`height` and `width` must be at least 1, but are {height} and {width}")
    count, old_height, old_width, _ = frames.shape
    if (old_height, old_width) == (height, width):
        return frames
    whole = old_height % height == 0 and old_width % width == 0
    if whole and FILTERS[filter] is Image.Resampling.BOX:
        return _reduce_blocks(frames, old_height // height, old_width // width)
    resized = np.empty((count, height, width, 3), dtype=np.uint8)
    for target, frame in zip(resized, frames, strict=True):
        target[...] = np.asarray(Image.fromarray(frame).resize((width, height), FILTERS[filter]))
    return resized


def _reduce_blocks(
    frames: UInt8[np.ndarray, "t h w 3"], rows: int, columns: int
) -> UInt8[np.ndarray, "t height width 3"]:
    """Block means, rounded to nearest. Blocks never straddle frames, so the clip is reduced as one tall image."""
    count, height, width, _ = frames.shape
    if not count:
        return frames[:, ::rows, ::columns]
    tall = Image.fromarray(np.ascontiguousarray(frames).reshape(count * height, width, 3))
    return np.asarray(tall.reduce((columns, rows))).reshape(count, height // rows, width // columns, 3)
