import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.batch.pictures.random_shift import RandomShift

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 10, 20, 3), dtype=np.uint8)


@given(st.integers(-(2**63), 2**63 - 1), st.floats(0, 0.5))
def test_shifts_are_a_function_of_the_seed_within_the_strength(seed, strength):
    shift = RandomShift.draw(seed, strength)
    assert shift == RandomShift.draw(seed, strength)
    assert all(abs(share) <= strength for share in shift)


def test_shifts_fill_their_range():
    drawn = np.array([RandomShift.draw(seed, 0.2) for seed in range(500)])
    assert (drawn.min(axis=0) < -0.19).all()
    assert (drawn.max(axis=0) > 0.19).all()
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.15


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (-3, 0), (0, 4), (0, -1), (1, -2), (-5, 10)])
def test_moved_by_hand(down, right):
    moved = RandomShift(down / 10, right / 20).apply(FRAMES)
    assert (moved.shape, moved.dtype) == (FRAMES.shape, np.uint8)
    for y in range(10):
        for x in range(20):
            wanted = FRAMES[:, min(max(y - down, 0), 9), min(max(x - right, 0), 19)]
            assert np.array_equal(moved[:, y, x], wanted)
