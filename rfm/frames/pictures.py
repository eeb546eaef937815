"""Frames from encoded pictures, whose declared size is checked before memory is taken.

A picture is shown as its EXIF orientation says, as viewers do, and without its transparency.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from rfm.errors import DataError
from rfm.files.lfs import is_pointer
from rfm.files.limits import check_pixels, within_memory

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""What the files begin with."""
FORMATS = ("JPEG", "PNG")
"""What datasets hold, by Pillow's names; the fewer decoders strangers' bytes reach, the better."""
_ORIENTATION = 0x0112
"""The EXIF tag."""


def picture_size(data: bytes, place: str, formats: Sequence[str] = FORMATS) -> tuple[int, int]:
    """Return height and width that a picture declares; DataError, calling it `place`, as `decode_picture`."""
    with _opened(data, place, formats) as image:
        width, height = image.size
        return height, width


def decode_picture(data: bytes, place: str, formats: Sequence[str] = FORMATS) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as RGB; DataError, calling it `place`, where it can't be decoded or is too large."""
    with _opened(data, place, formats) as image:
        count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # cameras add a preview to a JPEG
        if count > 1:
            raise DataError(f"{place} must be one picture, but holds {count}")
        return as_rgb(image, place)


@contextmanager
def _opened(data: bytes, place: str, formats: Sequence[str]) -> Iterator[Image.Image]:
    """A picture of which nothing is decoded yet; whatever Pillow finds wrong within the block is a DataError."""
    if is_pointer(data):
        raise DataError(f"{place} must be a picture, but is a Git LFS pointer to one: run `git lfs pull`")
    try:
        with within_memory(place), Image.open(io.BytesIO(data), formats=list(formats)) as image:
            width, height = image.size
            check_pixels(height, width, place)
            yield image
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"{place} must be a {_named(formats)} picture, but decoding it gives: {error}") from error


def as_rgb(image: Image.Image, place: str) -> UInt8[np.ndarray, "h w 3"]:
    """An open picture as it is shown; DataError, calling it `place`, where its levels are no colours."""
    if image.mode[:1] in "IF":
        raise DataError(f"{place} must have colours of 8 bits, but is {image.mode}, as depth maps are")
    turned = image.getexif().get(_ORIENTATION, 1) != 1
    shown = ImageOps.exif_transpose(image) if turned else image
    return np.asarray(shown if shown.mode == "RGB" else shown.convert("RGB"))


def _named(formats: Sequence[str]) -> str:
    return " or ".join([", ".join(formats[:-1]), formats[-1]])
