"""Opposites by time follow the success cut-off."""

from __future__ import annotations

import numpy as np
import pytest
from catalogs import make_catalog

from rfm.trajectories.opposites import with_cut_off_opposites

N = 8
UNDONE = [1 - (frame + 1) / N for frame in range(N)]
TIMES = [(frame / (N - 1)) ** 2 for frame in range(N)]


def test_an_opposite_by_time_is_undone_at_the_cut_off():
    catalog = make_catalog(frames=[N, N], tasks=[0, 1], sources=[0, 1], towards={(0, 1): UNDONE, (1, 0): UNDONE})
    made = with_cut_off_opposites(catalog, {"source0": 0.5})
    assert made.towards.curve(0) == pytest.approx([0.75, 0.5, 0.25, 0, 0, 0, 0, 0])
    assert made.towards.curve(1) == pytest.approx(UNDONE), "the other source has no cut-off"


def test_times_of_frames_count():
    by_time = [1 - (time * (N - 1) + 1) / N for time in TIMES]
    catalog = make_catalog(frames=[N, N], tasks=[0, 1], towards={(0, 1): by_time}, times=[TIMES, []])
    made = with_cut_off_opposites(catalog, {"source0": 0.5})
    assert made.towards.curve(0) == pytest.approx(np.maximum(1 - 2 * (1 - np.array(by_time)), 0), abs=1e-6)


@pytest.mark.parametrize(
    "what",
    [
        {"towards": {(0, 1): [1 - frame / N for frame in range(N)]}},
        {"quality": [0, 2]},
        {"progress": [[(frame + 1) / N for frame in range(N)], []]},
    ],
)
def test_what_was_recorded_is_kept(what):
    given = {"frames": [N, N], "tasks": [0, 1], "towards": {(0, 1): UNDONE}} | what
    catalog = make_catalog(**given)
    made = with_cut_off_opposites(catalog, {"source0": 0.5})
    assert np.array_equal(made.towards.values, catalog.towards.values)
