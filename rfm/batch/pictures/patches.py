"""From uint8 frames to the patches of Qwen3-VL and Qwen2.5-VL.

In: frames uint8 (t, h, w, 3) whose sides are multiples of `patch_size * merge_size`.
Out: patches (gt*gh*gw, 3*tp*p*p) with the grid (gt, gh, gw), in the order of the stock processors: temporal patch, then
blocks of merge x merge patches row by row, inside a patch channel, time, row, column.

Patches stay uint8 until they are on the model's device: a quarter of the bytes between processes and a tenth of the
time of float patches, and `normalise` gives bit for bit what the stock processors compute (they fuse rescaling with
normalising: (x - 255 mean) / (255 std) in float32).

Where we deviate from the stock processors, on purpose: a single frame is repeated (Qwen3-VL's raises), small clips are
not raised to the processor's minimum of pixels (enlarging adds tokens, not information) unless `min_pixels` asks for
it, and frames with a side shorter than a visual token's are enlarged along that side only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8

from rfm.errors import ConfigError, DataError

Family = Literal["qwen3_vl", "qwen2_5_vl"]
Grid = tuple[int, int, int]


@dataclass(frozen=True)
class VisionSpec:
    """What a model family and its preprocessing files say about frames."""

    family: Family
    patch_size: int
    merge_size: int
    temporal_patch_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    max_video_pixels: int
    """Of a whole clip for Qwen3-VL, of a frame for Qwen2.5-VL."""
    max_image_pixels: int
    tokens_per_second: float = 1.0
    """Steps of the temporal position per second; Qwen2.5-VL only."""

    @property
    def side(self) -> int:
        """The side, in pixels, of the square that becomes one visual token."""
        return self.patch_size * self.merge_size

    def tokens(self, grid: Grid) -> int:
        """How many visual tokens a grid of patches becomes."""
        return grid[0] * grid[1] * grid[2] // self.merge_size**2


def check_size(height: int, width: int, spec: VisionSpec) -> None:
    """Raise `ConfigError` unless both sides of a frame are multiples of the side of a visual token."""
    for name, value in (("data.resized_height", height), ("data.resized_width", width)):
        if value <= 0 or value % spec.side:
            raise ConfigError(
                f"`{name}` must be a positive multiple of {spec.side} (patch {spec.patch_size} x merge "
                f"{spec.merge_size} of {spec.family}), but is {value}; the next larger one is "
                f"{(max(value, 0) // spec.side + 1) * spec.side}"
            )


def target_size(
    frames: int,
    height: int,
    width: int,
    spec: VisionSpec,
    *,
    as_images: bool = False,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> tuple[int, int]:
    """Return the size that frames of (height, width) are resized to when no size was asked for.

    It is the nearest multiples of a token's side, shrunk to the model's budget of pixels, and into the pixels a frame
    may have (`min_pixels` to `max_pixels`) where these are given, with the aspect ratio kept. Source: `smart_resize`
    of the stock processors, for `size` with `shortest_edge` and `longest_edge`, which count the pixels of a frame for
    Qwen2.5-VL and images, and of a whole clip for videos of Qwen3-VL.
    """
    whole_clip = spec.family == "qwen3_vl" and not as_images
    count = max(frames, spec.temporal_patch_size) if whole_clip else 1
    budget = spec.max_image_pixels if as_images else spec.max_video_pixels
    most = budget if max_pixels is None else min(budget, max_pixels * count)
    least = 0 if min_pixels is None else min(min_pixels * count, most)
    rows, columns = (max(spec.side, round(value / spec.side) * spec.side) for value in (height, width))
    counted = round(count / spec.temporal_patch_size) * spec.temporal_patch_size if whole_clip else 1
    if counted * rows * columns > most:
        shrink = math.sqrt(count * height * width / most)
        rows, columns = (max(spec.side, math.floor(v / shrink / spec.side) * spec.side) for v in (height, width))
    elif counted * rows * columns < least:
        grow = math.sqrt(least / (count * height * width))
        rows, columns = (math.ceil(v * grow / spec.side) * spec.side for v in (height, width))
    return rows, columns


def patchify(
    frames: UInt8[np.ndarray, "t h w 3"], spec: VisionSpec, out: UInt8[np.ndarray, "n d"] | None = None
) -> tuple[UInt8[np.ndarray, "n d"], Grid]:
    """Cut a clip into patches, in `out` where it is given; the last frame is repeated up to whole temporal patches."""
    count, height, width = _check(frames, spec)
    grid = video_grid(count, height, width, spec)
    planes = np.empty((3, grid[0] * spec.temporal_patch_size, height * width), np.uint8)
    planes[:, :count] = frames.reshape(count, -1, 3).transpose(2, 0, 1)
    planes[:, count:] = planes[:, count - 1 : count]
    return _ordered(planes.reshape(3, grid[0], -1, height * width), grid, spec, out), grid


def patchify_images(
    frames: UInt8[np.ndarray, "t h w 3"], spec: VisionSpec, out: UInt8[np.ndarray, "n d"] | None = None
) -> tuple[UInt8[np.ndarray, "n d"], list[Grid]]:
    """Cut each frame into the patches of a still image, which fills its temporal patch with copies of itself."""
    count, height, width = _check(frames, spec)
    grid = image_grid(count, height, width, spec)
    planes = np.ascontiguousarray(frames.reshape(count, -1, 3).transpose(2, 0, 1))[:, :, None]
    return _ordered(planes, grid, spec, out), [(1, *grid[1:])] * count


def video_grid(frames: int, height: int, width: int, spec: VisionSpec) -> Grid:
    """Return the grid of a clip whose frames are shown in this size."""
    return -(-frames // spec.temporal_patch_size), height // spec.patch_size, width // spec.patch_size


def image_grid(frames: int, height: int, width: int, spec: VisionSpec) -> Grid:
    """Return the grids of frames shown as still images, put together into one."""
    return frames, height // spec.patch_size, width // spec.patch_size


def _check(frames: UInt8[np.ndarray, "t h w 3"], spec: VisionSpec) -> tuple[int, int, int]:
    count, height, width, channels = frames.shape
    if channels != 3 or count == 0 or height % spec.side or width % spec.side:
        raise DataError(
            f"`frames` must be (t > 0, h, w, 3) with sides that are multiples of {spec.side}, but is {frames.shape}"
        )
    return count, height, width


def _ordered(
    planes: UInt8[np.ndarray, "3 gt time pixels"], grid: Grid, spec: VisionSpec, out: UInt8[np.ndarray, "n d"] | None
) -> UInt8[np.ndarray, "n d"]:
    """Return the patches of colour planes; `time` is 1 where a temporal patch shows one frame over and over.

    A row of a patch moves as one value of `patch_size` bytes: a tenth of the time of moving its bytes one by one.
    """
    patch, merge, time = spec.patch_size, spec.merge_size, spec.temporal_patch_size
    if out is None:
        out = np.empty((math.prod(grid), 3 * time * patch * patch), np.uint8)
    strip = f"V{patch}"
    blocks = planes.view(strip).reshape(3, grid[0], -1, grid[1] // merge, merge, patch, grid[2] // merge, merge)
    ordered = blocks.transpose(1, 3, 6, 4, 7, 0, 2, 5)
    shape = (*ordered.shape[:6], time, patch)
    out.view(strip).reshape(shape)[...] = np.broadcast_to(ordered, shape)
    return out


def normalise(patches: UInt8[torch.Tensor, "n d"], spec: VisionSpec) -> Float[torch.Tensor, "n d"]:
    """Normalise uint8 patches in float32, on the device where they are."""
    by_channel = patches.view(len(patches), 3, -1).float()
    mean = torch.tensor(spec.mean, device=patches.device).mul(255.0).view(1, 3, 1)
    std = torch.tensor(spec.std, device=patches.device).mul(255.0).view(1, 3, 1)
    return by_channel.sub_(mean).div_(std).view(len(patches), -1)
