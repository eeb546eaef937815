"""Frames from encoded pictures (JPEG, PNG), whose declared size is checked before memory is taken."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rfm.errors import DataError
from rfm.files.limits import check_pixels, within_memory

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""What the files begin with."""


def decode_picture(data: bytes, place: str) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as RGB; DataError, calling it `place`, where it can't be decoded or is too large."""
    try:
        with within_memory(place), Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image:
            width, height = image.size
            check_pixels(height, width, place)
            if image.mode[:1] in "IF":
                raise DataError(f"{place} must have colours of 8 bits, but is {image.mode}, as depth maps are")
            return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{place} must be a JPEG or PNG picture, but decoding it gives: {error}") from error
