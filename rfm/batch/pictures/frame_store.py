"""Resized frames of the clips that rows name, with a cache of small ones.

In: clip references and a datasets root. Out: uint8 (t, h, w, 3) in the model's size. Rows of one dataset show the
same frames again and again; at 32 x 32 the frames of several hundred episodes fit into a few tens of MB, and reading
and shrinking them once instead of once a row makes collation twenty times faster. The cache holds whole files' frames
up to a byte budget and drops the file used longest ago. Each loader worker has its own: keep workers alive between
epochs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rfm.batch.clips import ClipReference
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import VisionSpec, check_size, target_size
from rfm.files.limits import check_shown
from rfm.frames.npz.file import npz_frames_shape
from rfm.frames.reader import frames_file, read_frames, resize_frames

Frame = UInt8[np.ndarray, "h w 3"]


class FrameStore:
    """Reads clips under one root for one input format."""

    def __init__(self, root: Path, spec: VisionSpec, form: InputFormat, cache_bytes: int = 256 * 2**20) -> None:
        if form.resized_height is not None and form.resized_width is not None:
            check_size(form.resized_height, form.resized_width, spec)
        self.root, self.spec, self.form = root, spec, form
        self.cache_bytes = cache_bytes
        self._cached: OrderedDict[str, dict[int, Frame]] = OrderedDict()
        self._held = 0

    def clip(self, reference: ClipReference) -> UInt8[np.ndarray, "t h w 3"]:
        """Return the clip's frames; raises `DataError` where they cannot be read."""
        if self.form.resized_height is None:  # the size may depend on the clip's length: nothing to share
            return self._read(reference.path, reference.indices)
        check_shown(len(reference.indices), self.form.resized_height, self.form.resized_width or 0, reference.path)
        frames = self._cached.setdefault(reference.path, {})
        self._cached.move_to_end(reference.path)
        missing = sorted(set(reference.indices) - frames.keys())
        if missing:
            new = dict(zip(missing, self._read(reference.path, missing), strict=True))
            frames.update(new)
            self._held += sum(frame.nbytes for frame in new.values())
        clip = np.stack([frames[index] for index in reference.indices])
        self._shrink()
        return clip

    def size(self, count: int, height: int, width: int) -> tuple[int, int]:
        """Return the height and width in which `count` frames of this height and width are shown.

        Raises `DataError` where that is more than a question may show.
        """
        shown = self._size(count, height, width)
        check_shown(count, *shown, "a row")
        return shown

    def _size(self, count: int, height: int, width: int) -> tuple[int, int]:
        if self.form.resized_height is not None and self.form.resized_width is not None:
            return self.form.resized_height, self.form.resized_width
        return target_size(
            count,
            height,
            width,
            self.spec,
            as_images=self.form.use_multi_image,
            min_pixels=self.form.min_pixels,
            max_pixels=self.form.max_pixels,
        )

    def in_size(self, path: str, indices: Sequence[int], size: tuple[int, int]) -> UInt8[np.ndarray, "t h w 3"]:
        """Return frames of a file in a size that `size` gave for a clip of them."""
        if self.form.resized_height is not None:
            return self.clip(ClipReference(path, tuple(indices)))
        return resize_frames(self._stored(path, indices), *size, filter=self.form.resize_filter)

    def stored_size(self, path: str) -> tuple[int, int]:
        """Return the height and width of the frames in a file: of an .npz from its header, of a video from a frame."""
        file = frames_file(self.root, path)
        is_npz = Path(path).suffix.lower() == ".npz"
        shape = npz_frames_shape(file) if is_npz else read_frames(self.root, path, [0]).shape
        return shape[1], shape[2]

    def _shrink(self) -> None:
        while self._held > self.cache_bytes:
            _, dropped = self._cached.popitem(last=False)
            self._held -= sum(frame.nbytes for frame in dropped.values())

    def _stored(self, path: str, indices: Sequence[int]) -> UInt8[np.ndarray, "t h w 3"]:
        return read_frames(self.root, path, indices)

    def _read(self, path: str, indices: Sequence[int]) -> UInt8[np.ndarray, "t h w 3"]:
        frames = self._stored(path, indices)
        count, height, width, _ = frames.shape
        size = self.size(count, height, width)
        return frames if size == (height, width) else resize_frames(frames, *size, filter=self.form.resize_filter)


class HeldFrames(FrameStore):
    """Shows clips that are in memory, by the names they are given here, as those of files are shown."""

    def __init__(self, clips: Mapping[str, Sequence[Frame]], spec: VisionSpec, form: InputFormat) -> None:
        super().__init__(Path(), spec, form)
        self._clips = clips

    def _stored(self, path: str, indices: Sequence[int]) -> UInt8[np.ndarray, "t h w 3"]:
        clip = self._clips[path]
        return np.stack([clip[index] for index in indices])

    def stored_size(self, path: str) -> tuple[int, int]:
        """Return the height and width of a clip's frames."""
        height, width, _ = self._clips[path][0].shape
        return height, width
