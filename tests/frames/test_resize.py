import numpy as np
import pytest
from PIL import Image

from rfm.errors import ConfigError
from rfm.frames.resize import FILTERS, resize_frames


def noise(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (2, 3), (1, 4)])
def test_whole_blocks_are_averaged(rows: int, columns: int) -> None:
    frames = noise(3, 4 * rows, 5 * columns)
    means = frames.reshape(3, 4, rows, 5, columns, 3).mean(axis=(2, 4))
    reduced = resize_frames(frames, 4, 5)
    assert reduced.shape == (3, 4, 5, 3)
    assert np.abs(reduced - means).max() <= 0.52  # Pillow's reciprocals are fixed-point


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size", [(5, 9), (32, 3), (17, 40)])
def test_any_size_as_pillow_does_it(name: str, size: tuple[int, int]) -> None:
    frames = noise(2, 17, 20)
    expected = [np.asarray(Image.fromarray(frame).resize(size[::-1], FILTERS[name])) for frame in frames]
    np.testing.assert_array_equal(resize_frames(frames, *size, filter=name), expected)


def test_same_size_is_the_same_array() -> None:
    frames = noise(2, 8, 8)
    assert resize_frames(frames, 8, 8) is frames


def test_no_frames() -> None:
    assert resize_frames(noise(0, 8, 8), 4, 4).shape == (0, 4, 4, 3)


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match=r"`filter` must be one of nearest, box, .*, but is `cubic`"):
        resize_frames(noise(1, 8, 8), 4, 4, "cubic")
    with pytest.raises(ConfigError, match="`height` and `width` must be at least 1, but are 0 and 4"):
        resize_frames(noise(1, 8, 8), 0, 4)
