from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.frames.spacing import evenly_spaced, nested
from rfm.sampling.clips.table import evenly


@given(count=st.integers(1, 500), most=st.integers(1, 100))
def test_evenly_spaced(count: int, most: int) -> None:
    places = evenly_spaced(count, most)
    assert len(places) == min(count, most)
    assert places[-1] == count - 1
    steps = np.diff(places)
    if most > 1:
        assert places[0] == 0
        assert (steps >= 1).all()
    if len(steps):
        assert steps.max() - steps.min() <= 1


@given(count=st.integers(2, 2**22), most=st.integers(2, 64))
def test_halves_are_rounded_up_exactly(count: int, most: int) -> None:
    if count <= most:
        assert evenly_spaced(count, most).tolist() == list(range(count))
        return
    exact = [Fraction(at * (count - 1), most - 1) for at in range(most)]
    assert evenly_spaced(count, most).tolist() == [int(place + Fraction(1, 2)) for place in exact]


@pytest.mark.parametrize("most", [2, 3, 8, 16])
def test_clips_of_training_show_the_same_frames(most: int) -> None:
    for count in (2, 3, most - 1, most, most + 1, 64, 1000):
        if count >= 2:
            ends = np.array([count - 1])
            clip = evenly(ends * 0, ends * 0, ends, np.minimum(ends + 1, most), most)
            assert clip.indices[0, : clip.count[0]].tolist() == evenly_spaced(count, most).tolist()


@given(count=st.integers(1, 2000), most=st.integers(2, 64))
def test_nested_frames_stay_while_a_clip_grows(count: int, most: int) -> None:
    places = nested(count, most)
    assert (places[0], places[-1]) == (0, count - 1)
    assert len(places) <= most
    steps = np.diff(places)
    if len(steps):
        assert (steps[:-1] == steps[0]).all()
        assert steps[-1] <= steps[0]
    if count <= most:
        assert places.tolist() == list(range(count))
    grown = nested(count + 1, most)
    if len(grown) > 2 and len(places) > 2 and grown[1] == places[1]:
        assert grown[: len(places) - 1].tolist() == places[:-1].tolist()
    assert len(places) > most // 2 or count <= most
