"""How many frames progress clips show says little of how far they got."""

from __future__ import annotations

import numpy as np
import pytest
from catalogs import make_catalog
from hypothesis import given
from hypothesis import strategies as st

from rfm.configs.experiment_configs import DataConfig
from rfm.sampling.clips.counts import fitting, most_shown
from rfm.sampling.clips.shapes import shown_counts
from rfm.sampling.random import RowRandom
from rfm.sampling.sampler import Sampler


def random(rows: int) -> RowRandom:
    return RowRandom(0, np.arange(rows, dtype=np.uint64))


@pytest.mark.parametrize(
    ("frames", "max_frames", "counts"),
    [
        (32, 4, [4]),
        (32, 16, [4, 8, 16]),
        (100, 16, [8, 16]),
        (160, 16, [16]),
        (3, 16, [4, 8, 16]),
        (50, 3, [3]),
        (9, 2, [2]),
    ],
)
def test_the_most_frames_are_halves_down_to_a_tenth_of_the_episode(frames: int, max_frames: int, counts: list) -> None:
    drawn = most_shown(random(3000), np.full(3000, frames), max_frames)
    found, number = np.unique(drawn, return_counts=True)
    assert found.tolist() == counts
    assert number == pytest.approx(3000 / len(counts), rel=0.1)


@given(most=st.integers(2, 40), room=st.integers(2, 60), max_frames=st.integers(2, 40))
def test_as_many_are_shown_as_fit_of_the_numbers_that_are_drawn(most: int, room: int, max_frames: int) -> None:
    count = int(fitting(np.array([most]), np.array([room]), max_frames)[0])
    possible = [c for c in (*shown_counts(max_frames), 2) if c <= min(most, room)]
    assert count == max(possible)


@pytest.mark.parametrize("mixture", ["balanced", "original"])
def test_only_the_original_mixture_shows_as_many_frames_as_fit(mixture: str) -> None:
    catalog = make_catalog(frames=[32] * 40, tasks=[i % 4 for i in range(40)])
    settings = DataConfig(max_frames=16, sample_type_ratio=[0, 1, 0], mixture=mixture)
    block = Sampler(catalog, settings, total=2000, seed=0).draw(0, 2000)
    counts = set(block.slots[0].count.tolist())
    assert counts == set(range(2, 17)) if mixture == "original" else counts == {2, 3, 4, 8, 16}
