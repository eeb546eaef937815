"""Frames as people give them (arrays, pictures, files) as one clip: uint8 RGB frames of one size, in their order.

What can only be meant in one way is taken so: grey levels and transparency with an axis of their own, a single frame,
videos turned by their display matrix. What could be meant in several is an error that says how to put it: floats (0 to
1, or to 255?), frames without a colour axis, channels before height and width.

Of a file as many frames are read as ingest keeps, 64 at most: evenly in time, first and last included. A video
is never in memory as a whole. An .npy is an array, of which all frames are taken.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from PIL import Image

from rfm.errors import ConfigError, DataError
from rfm.files.limits import check_kept, check_pixels
from rfm.frames.npy import read_npy
from rfm.frames.npz.channels import CHANNELS, read_npz_channels
from rfm.frames.npz.file import npz_frames_shape, read_npz_frames
from rfm.frames.pictures import as_rgb
from rfm.frames.spacing import evenly_spaced
from rfm.ingest.episode import FrameSource, IngestOptions
from rfm.scoring.seen_as import OtherSizeError, SeenAs

AS_INGESTED = IngestOptions()
"""How files are read where nothing else is said."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames in memory, and what errors call them."""

    frames: Sequence[UInt8[np.ndarray, "h w 3"]] | UInt8[np.ndarray, "t h w 3"]
    name: str
    places: Int64[np.ndarray, " t"] | None = None
    """The number of each in its recording, from 0; None where these are all frames."""
    seconds: Float64[np.ndarray, " t"] | None = None
    """When each is shown, from the start of its recording; None where unknown."""
    kept_as: SeenAs | None = None
    """The size that a model sees, to which they were brought; None where they are for any model."""

    def __len__(self) -> int:
        return len(self.frames)

    def numbered(self, shown: Sequence[int]) -> tuple[int, ...]:
        """Return the numbers in the recording of some of these frames."""
        return tuple(shown) if self.places is None else tuple(self.places[list(shown)].tolist())

    def check_seen_as(self, seen_as: SeenAs | None) -> None:
        """Raise OtherSizeError where the frames were brought to the size of another model than the one that answers."""
        if self.kept_as is not None and self.kept_as != seen_as:
            now = "no size of its own" if seen_as is None else f"{seen_as.height} x {seen_as.width} ({seen_as.filter})"
            kept = f"{self.kept_as.height} x {self.kept_as.width} ({self.kept_as.filter})"
            raise OtherSizeError(
                f"{self.name} must be in the size in which the model sees them, {now}, but were kept in {kept}: the "
                "model was replaced; begin anew by `reset()`"
            )


def is_clip(given: Any) -> bool:
    """Whether this is one clip: a path, an array of frames, or a list of single frames; else it is a list of clips."""
    if not isinstance(given, list | tuple):
        return getattr(given, "ndim", 0) <= 4
    return _are_pictures(given)


def _are_pictures(given: Any) -> bool:
    """Whether this is a list of single frames, one at least."""
    if not isinstance(given, list | tuple) or not given:
        return False
    return all(isinstance(one, Image.Image) or getattr(one, "ndim", 4) <= 3 for one in given)


def clips_for(
    given: Any, tasks: Sequence[str], options: IngestOptions = AS_INGESTED, *, one: bool, name: str = "`frames`"
) -> list[Clip]:
    """Return a clip a task: the same for all, or as many as there are; ConfigError where they don't fit."""
    if not one and _are_pictures(given) and len(given) == len(tasks) > 1:
        raise ConfigError(
            f"{name} must be one clip or a clip a task, but are {len(given)} frames for {len(tasks)} tasks, which may "
            "be either: give np.stack(frames) for one clip that all are asked about, [[frame], …] for a clip of one "
            "frame each"
        )
    if is_clip(given) or (one and len(given) == 0):
        return [read_clip(given, options, name)] * len(tasks)
    if one:
        way_out = f"{name}[0]" if len(given) == 1 else "`tasks`, one a clip"
        raise ConfigError(f"{name} must be one clip, but is a list of clips; give {way_out}")
    if len(given) != len(tasks):
        raise ConfigError(f"{name} must be one clip, or a clip a task, but are {len(given)} for {len(tasks)}")
    return [read_clip(clip, options, f"{name}[{at}]") for at, clip in enumerate(given)]


def read_clip(given: Any, options: IngestOptions = AS_INGESTED, name: str = "`frames`") -> Clip:
    """Return the clip; `options` say how many frames of a file are read, and in which size.

    DataError, calling what is in memory `name`, where it is no clip.
    """
    if isinstance(given, Clip):
        return given
    if isinstance(given, str | os.PathLike):
        return _of_file(Path(given), options)
    if isinstance(given, Image.Image):
        return Clip(as_rgb(given, name)[None], name)
    if isinstance(given, list | tuple):
        return Clip(_stacked([_frame(one, f"{name}[{at}]") for at, one in enumerate(given)], name), name)
    return Clip(_frames(given, name), name)


def _of_file(path: Path, options: IngestOptions) -> Clip:
    if path.suffix.lower() == ".npy":
        return Clip(_frames(read_npy(path), str(path)), str(path))
    if path.suffix.lower() == ".npz":
        count, *_, channels = npz_frames_shape(path, CHANNELS)
        kept = evenly_spaced(count, options.max_frames)
        read = read_npz_frames if channels == 3 else read_npz_channels
        return Clip(read(path, kept, options.sizing), str(path), kept)
    from rfm.ingest.listing.recordings import recording  # PyAV, which arrays do without

    return of_source(recording(path), str(path), options)


def of_source(source: FrameSource, name: str, options: IngestOptions) -> Clip:
    """Return what ingest would keep of an episode."""
    video = source.read(options)
    return Clip(video.frames, name, video.indices, video.seconds)


def _frames(given: Any, name: str) -> UInt8[np.ndarray, "t h w 3"]:
    array = _array(given, name)
    if array.ndim == 3 and array.shape[-1] == 3:
        array = array[None]  # one frame
    if array.ndim != 4:
        raise DataError(
            f"{name} must be uint8 of shape (t, h, w, 3), but has shape {array.shape}; give grey frames as (t, h, w, 1)"
        )
    return _coloured(array, name)


def _frame(given: Any, name: str) -> UInt8[np.ndarray, "h w 3"]:
    if isinstance(given, Image.Image):
        return as_rgb(given, name)
    array = _array(given, name)
    if array.ndim != 3:
        raise DataError(f"{name} must be a frame of shape (h, w, 3), but has shape {array.shape}")
    return _coloured(array[None], name)[0]


def _array(given: Any, name: str) -> np.ndarray:
    """Return an array of bytes; tensors come from whatever device they are on."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
    if not hasattr(given, "__array__"):
        raise DataError(
            f"{name} must be an array of frames, a path or a list of pictures, but is {type(given).__name__}"
        )
    array = np.asarray(given)
    if array.dtype != np.uint8:
        raise DataError(f"{name} must be uint8, from 0 to 255, but is {array.dtype}; {_as_bytes(array)}")
    return array


def _as_bytes(array: np.ndarray) -> str:
    if not np.issubdtype(array.dtype, np.number) or not array.size:
        return "give numbers"
    low, high = array.min(), array.max()
    if np.issubdtype(array.dtype, np.floating) and low >= 0 and high <= 1:
        return f"its values lie from {low:.3g} to {high:.3g}: give (frames * 255).round().astype(np.uint8)"
    return f"its values lie from {low:.5g} to {high:.5g}: bring them to whole numbers from 0 to 255 first"


def _coloured(array: UInt8[np.ndarray, "t h w c"], name: str) -> UInt8[np.ndarray, "t h w 3"]:
    count, height, width, channels = array.shape
    if not array.size:
        raise DataError(f"{name} must hold at least one frame, but has shape {array.shape}")
    if channels not in CHANNELS:
        first = height in CHANNELS
        way_out = "channels come first: give frames.transpose(0, 2, 3, 1)" if first else "give RGB frames"
        raise DataError(f"{name} must be uint8 of shape (t, h, w, 3), but has shape {array.shape}; {way_out}")
    check_pixels(height, width, name)
    check_kept(count, height, width, name)
    return np.repeat(array, 3, axis=3) if channels == 1 else array[..., :3]


def _stacked(frames: Sequence[UInt8[np.ndarray, "h w 3"]], name: str) -> UInt8[np.ndarray, "t h w 3"]:
    if not frames:
        raise DataError(f"{name} must hold at least one frame, but is empty")
    for at, frame in enumerate(frames):
        if frame.shape != frames[0].shape:
            sizes = [f"{one.shape[1]} x {one.shape[0]}" for one in (frames[0], frame)]
            raise DataError(f"{name} must be of one size, but [0] has {sizes[0]} pixels and [{at}] {sizes[1]}")
    check_kept(len(frames), frames[0].shape[0], frames[0].shape[1], name)
    return np.stack(frames)
