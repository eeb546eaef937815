"""Pictures of statistics, whatever the dataset lacks."""

from itertools import product

import pytest
from PIL import Image

from rfm.audit.statistics.counts import Statistics
from rfm.audit.statistics.plot import plot_statistics

STRANGE = "$\\frac{[/red]\x1b[2J_"
KINDS = ("preference", "progress", "similarity")


def statistics(kinds, *, texts=True, lengths=True):
    return Statistics(
        path=STRANGE,
        total=4,
        rows=4,
        frame_files=2,
        strategies={kind: {STRANGE: 2, "": 1} for kind in kinds},
        answers={kind: {"1": 2, "100": 1, "none": 1} for kind in kinds},
        clip_lengths={kind: {"4": 2} for kind in kinds} if lengths else {},
        sizes={},
        sources={STRANGE: 3} if texts else {},
        tasks={STRANGE: 3, "": 1} if texts else {},
        lacking=(),
    )


@pytest.mark.parametrize("there", product([False, True], repeat=3), ids=str)
def test_any_sample_type_may_be_missing(tmp_path, there):
    kinds = [kind for kind, is_there in zip(KINDS, there, strict=True) if is_there]
    plot_statistics([statistics(kinds)], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width == 1500
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"], "whole or not at all"


def test_texts_and_lengths_may_be_missing_in_one_of_two(tmp_path):
    both = [statistics(["progress"], texts=False, lengths=False), statistics(["preference"])]
    plot_statistics(both, tmp_path / "sub" / "a.png")
    assert (tmp_path / "sub" / "a.png").stat().st_size > 10_000
