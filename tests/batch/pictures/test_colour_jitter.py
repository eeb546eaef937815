import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.batch.pictures.colour_jitter import ColourJitter

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


@given(st.integers(-(2**63), 2**63 - 1), st.floats(0, 0.9))
def test_factors_are_a_function_of_the_seed_within_the_strength(seed, strength):
    jitter = ColourJitter.draw(seed, strength)
    assert jitter == ColourJitter.draw(seed, strength)
    assert all(1 - strength <= factor <= 1 + strength for factor in jitter)


def test_factors_fill_their_range():
    drawn = np.array([ColourJitter.draw(seed, 0.5) for seed in range(500)])
    assert (drawn.min(axis=0) < 0.55).all()
    assert (drawn.max(axis=0) > 1.45).all()
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.15


def test_factors_of_one_change_nothing():
    assert np.array_equal(ColourJitter().apply(FRAMES), FRAMES)
    assert np.array_equal(ColourJitter.draw(7, 0.0).apply(FRAMES), FRAMES)


@pytest.mark.parametrize(
    ("jitter", "pixel", "expected"),
    [
        (ColourJitter(brightness=1.5), (100, 200, 10), (150, 255, 15)),
        (ColourJitter(brightness=0.5), (100, 200, 10), (50, 100, 5)),
        (ColourJitter(contrast=0.5), (100, 200, 128), (114, 164, 128)),
        (ColourJitter(contrast=1.5), (100, 250, 10), (86, 255, 0)),
        (ColourJitter(saturation=1.5), (90, 90, 90), (90, 90, 90)),
        (ColourJitter(saturation=0.5), (200, 100, 100), (164, 114, 114)),
        (ColourJitter(saturation=1.5), (200, 100, 100), (235, 85, 85)),
    ],
)
def test_factors_by_hand(jitter, pixel, expected):
    out = jitter.apply(np.full((1, 2, 2, 3), pixel, np.uint8))
    assert out.dtype == np.uint8
    assert np.abs(out.astype(int) - expected).max() <= 1


@given(st.integers(0, 10**6))
def test_equal_pixels_stay_equal_in_all_frames(seed):
    doubled = np.concatenate([FRAMES, FRAMES[:, ::-1]])
    out = ColourJitter.draw(seed, 0.4).apply(doubled)
    assert out.shape == doubled.shape
    assert np.array_equal(out[:3, ::-1], out[3:])
