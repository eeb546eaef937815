"""Curves are kept once for episodes that have the same."""

from __future__ import annotations

import numpy as np
import pytest
from catalogs import make_catalog, random_catalog

from rfm.sampling import progress as module
from rfm.sampling.progress import Progress


def test_episodes_whose_progress_is_time_share_a_curve_by_length_and_cutoff() -> None:
    catalog = make_catalog(
        frames=[8, 8, 8, 9, 8, 8], sources=[0, 0, 1, 0, 0, 0], quality=[2, 2, 2, 2, 0, 2],
        progress=[[], [], [], [], [], np.linspace(0, 1, 8).tolist()],
    )  # fmt: skip
    same = Progress(catalog).kinds.of
    assert [(same == kind).nonzero()[0].tolist() for kind in same[[0, 3, 4, 5]]] == [[0, 1, 2], [3], [4], [5]]
    of = Progress(catalog, cutoffs={"source1": 0.5}).kinds.of
    assert of[0] == of[1] != of[2]


@pytest.mark.parametrize("kept", [0, 10**6])
def test_curves_are_those_of_each_trajectory_by_itself(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(module, "LARGEST_TABLE", kept)
    monkeypatch.setattr(module, "_BLOCK", 7)
    catalog = random_catalog(3, 60)
    progress = Progress(catalog, cutoffs={"source0": 0.7})
    curves = progress.curves(np.arange(60))
    for at in range(60):
        n = int(catalog.num_frames[at])
        frames = [f for f in curves.frames[at].tolist() if f < n]
        assert (frames[0], frames[-1]) == (0, n - 1)
        inside = curves.progress[at, : len(frames)]
        assert np.isnan(curves.progress[at, len(frames) :]).all()
        low, high = catalog.progress_offsets[at : at + 2]
        if high > low:
            assert inside.tolist() == catalog.progress_values[low:high][frames].tolist()
        elif catalog.quality[at] == 2:
            share = 0.7 if catalog.source_code[at] == 0 else 1.0
            assert inside == pytest.approx(np.minimum((np.array(frames) + 1) / (n * share), 1))
        else:
            assert np.isnan(inside).all()
    lengths = progress.measured(lambda trajectory: catalog.num_frames[trajectory])
    assert lengths.tolist() == catalog.num_frames.tolist()
