"""Everybody in turn, and nothing twice before all have come."""

from __future__ import annotations

from collections import Counter

import numpy as np
from catalogs import make_catalog
from hypothesis import given
from hypothesis import strategies as st
from sampling.test_contract import rows_of

from rfm.sampling.turns import Turns


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(0, 2**63 - 1))
def test_everything_comes_once_before_anything_again(widths: list[int], seed: int) -> None:
    turns = Turns(np.array(widths), np.arange(len(widths)))
    owner, thing = turns.at(np.arange(2 * turns.total), seed, "test")
    pairs = list(zip(owner.tolist(), thing.tolist(), strict=True))
    everything = {(at, number) for at, width in enumerate(widths) for number in range(width)}
    assert turns.total == len(everything)
    assert set(pairs[: turns.total]) == everything
    assert pairs[turns.total :] == pairs[: turns.total]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 100))
def test_owners_with_something_left_come_equally_often(widths: list[int], rows: int) -> None:
    turns = Turns(np.array(widths), np.zeros(len(widths), np.int64))
    owner, _ = turns.at(np.arange(min(rows, turns.total)), 0, "test")
    counts = np.bincount(owner, minlength=len(widths))
    most = counts.max()
    assert all(count >= min(width, most - 1) for count, width in zip(counts.tolist(), widths, strict=True))


def test_evaluation_asks_each_quality_pair_once_before_any_again() -> None:
    """Two tasks of 3 x 4 pairs and one of 1 x 2: 26 questions."""
    quality = [2, 2, 2, 0, 0, 0, 0] * 2 + [2, 0, 0]
    catalog = make_catalog(frames=[20] * 17, tasks=[0] * 7 + [1] * 7 + [2] * 3, quality=quality)
    _, rows = rows_of(catalog, 52, 0, eval_mode=True, max_frames=4, sample_type_ratio=[1, 0, 0])
    asked = [frozenset((row["first_trajectory_id"], row["second_trajectory_id"])) for row in rows]
    assert set(Counter(asked).values()) == {2}
    _, rows = rows_of(catalog, 7, 0, eval_mode=True, max_frames=4, sample_type_ratio=[1, 0, 0])
    better = [row["first_trajectory_id" if row["answer"] == "1" else "second_trajectory_id"] for row in rows]
    worse = [row["second_trajectory_id" if row["answer"] == "1" else "first_trajectory_id"] for row in rows]
    assert len(set(better)) == 7, "each success once"
    assert len(set(worse)) == 7
