import io

import numpy as np
import pytest
from PIL import Image
from robot_datasets import declared, moving_square, png

from rfm.errors import DataError
from rfm.frames.pictures import decode_picture


def test_a_picture_comes_back() -> None:
    (frame,) = moving_square(1)
    assert np.array_equal(decode_picture(png(frame), "x"), frame)


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (9_000, "^x must have at most 67108864 pixels a frame, but declares 9000 x 9000$"),
        (32_000, "^x must be a JPEG or PNG picture, but decoding it gives: Image size .* exceeds limit"),
    ],
)
def test_a_declared_size_takes_no_memory(size: int, error: str) -> None:
    with pytest.raises(DataError, match=error):
        decode_picture(declared(png(moving_square(1)[0]), size), "x")


def test_depth_is_no_picture() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(buffer, "PNG")
    with pytest.raises(DataError, match="x must have colours of 8 bits, but is I;16, as depth maps are"):
        decode_picture(buffer.getvalue(), "x")


@pytest.mark.parametrize("cut", [0, 20, 60])
def test_a_cut_picture_is_an_error(cut: int) -> None:
    with pytest.raises(DataError, match="x must be a JPEG or PNG picture, but decoding it gives"):
        decode_picture(png(moving_square(1)[0])[:cut], "x")
