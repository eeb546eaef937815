"""The frames that a page shows: small JPEG pictures, each once, whoever shows it how often; equal ones are one.

In: the frames that are wanted, by file. Out: their numbers in the album, and the pictures. Files are read once each, in
their order, and only the wanted frames. How large the pictures are follows from how many there are: the largest of
`HEIGHTS` with which all of them fit into `most` bytes, judged by a few. A file that can't be read is named with its
reason, and its frames are not there.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from markupsafe import Markup

from rfm.console import tracked
from rfm.errors import DataError
from rfm.frames.reader import read_frames, resize_frames
from rfm.pages.document import embedded

HEIGHTS = (160, 128, 112, 96, 80, 64, 48)
BLOCK = 200
"""As in shared.js."""
_QUALITY = 78
_TRIED = 24
_WIDEST = 3.0
"""Frames that are wider for their height than this become as wide as that allows."""


class Source(NamedTuple):
    """Where some of the frames are, and which."""

    root: Path | None
    why_not: str
    """Why there is no root."""
    wanted: Mapping[str, Sequence[int]]
    """Frames by file, relative to the root."""


@dataclass
class Album:
    """Pictures by number; files by the number of their source and their path."""

    pictures: list[bytes] = field(default_factory=list)
    number: dict[tuple[int, str, int], int] = field(default_factory=dict)
    """Of a file's frame."""
    faults: dict[tuple[int, str], str] = field(default_factory=dict)
    """Why a file's frames are not there."""
    height: int = HEIGHTS[0]

    def blocks(self) -> list[Markup]:
        """Return the pictures as JSON lists of texts in base64, BLOCK in each but the last."""
        texts = [base64.b64encode(picture).decode() for picture in self.pictures]
        return [embedded(texts[low : low + BLOCK]) for low in range(0, len(texts), BLOCK)]

    def write(self, folder: Path) -> None:
        """Write the pictures as files named by their numbers."""
        folder.mkdir()
        for at, picture in enumerate(self.pictures):
            (folder / f"{at}.jpg").write_bytes(picture)


def collect(sources: Sequence[Source], most: int) -> Album:
    """Return an album of the frames of all sources, of about `most` bytes or less."""
    album, placed = Album(height=_fitting_height(sources, most)), dict[bytes, int]()
    files = [(at, path, frames) for at, source in enumerate(sources) for path, frames in source.wanted.items()]
    for at, path, frames in tracked(files, "frames", total=len(files)):
        root = sources[at].root
        if root is None:
            album.faults[at, path] = sources[at].why_not
            continue
        found, reason = _read(root, path, frames)
        if reason:
            album.faults[at, path] = reason
        for frame, pixels in found.items():
            picture = pictures(pixels, album.height)[0]
            album.number[at, path, frame] = placed.setdefault(picture, len(placed))
    album.pictures = list(placed)
    return album


def _read(root: Path, path: str, frames: Sequence[int]) -> tuple[dict[int, UInt8[np.ndarray, "1 h w 3"]], str]:
    """Return the frames that can be read, and why the others can't: one bad index must not cost a file's others."""
    try:
        pixels = read_frames(root, path, frames)
    except DataError as error:
        if len(frames) == 1:
            return {}, str(error)
        found, reason = dict[int, UInt8[np.ndarray, "1 h w 3"]](), ""
        for frame in frames:
            one, fault = _read(root, path, [frame])
            found, reason = found | one, reason or fault
        return found, reason
    return {frame: pixels[at : at + 1] for at, frame in enumerate(frames)}, ""


def by_file(wanted: Iterable[tuple[str, Sequence[int]]]) -> dict[str, list[int]]:
    """Return which frames are wanted of each file, each once."""
    frames: dict[str, set[int]] = {}
    for path, shown in wanted:
        frames.setdefault(path, set()).update(shown)
    return {path: sorted(frames[path]) for path in sorted(frames)}


def pictures(frames: UInt8[np.ndarray, "t h w 3"], height: int) -> list[bytes]:
    """Return frames as JPEG of at most this height."""
    _, tall, wide, _ = frames.shape
    share = min(height / tall, height * _WIDEST / wide, 1.0)
    small = frames
    if share < 1:
        small = resize_frames(frames, max(round(tall * share), 1), max(round(wide * share), 1))
    return [simplejpeg.encode_jpeg(np.ascontiguousarray(frame), quality=_QUALITY) for frame in small]


def _fitting_height(sources: Sequence[Source], most: int) -> int:
    files = [(source.root, path, frames) for source in sources for path, frames in source.wanted.items()]
    total = sum(len(frames) for _, _, frames in files)
    tried = []
    for root, path, frames in files[:: max(len(files) // _TRIED, 1)][:_TRIED]:
        if root is not None:
            with suppress(DataError):  # named when it is its turn
                tried.append(read_frames(root, path, frames[len(frames) // 2 :][:1]))
    for height in HEIGHTS:
        sizes = [len(pictures(frames, height)[0]) for frames in tried]
        if total * (sum(sizes) / max(len(sizes), 1)) <= most:
            return height
    return HEIGHTS[-1]
