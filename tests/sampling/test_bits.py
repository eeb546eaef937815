import numpy as np
import pytest

from rfm.sampling.bits import below, count, nth, packed, pick

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("columns", [1, 7, 63, 64])
def test_bits_are_counted_and_found_as_columns_are(columns: int) -> None:
    chosen = RNG.random((300, columns)) < RNG.random((300, 1))
    words = packed(chosen)
    assert count(words).tolist() == chosen.sum(axis=1).tolist()
    for row, word in zip(chosen, words, strict=True):
        columns_of = np.flatnonzero(row)
        assert nth(np.repeat(word, len(columns_of)), np.arange(len(columns_of))).tolist() == columns_of.tolist()


def test_columns_before_a_column() -> None:
    assert below(np.array([0, 1, 63, 64])).tolist() == [0, 1, 2**63 - 1, 2**64 - 1]


def test_each_column_is_picked_as_often_and_no_other() -> None:
    chosen = np.isin(np.arange(64), [0, 5, 31, 32, 63])
    picked = pick(np.repeat(packed(chosen[None]), 50_000), RNG.random(50_000))
    found, times = np.unique(picked, return_counts=True)
    assert found.tolist() == [0, 5, 31, 32, 63]
    assert np.abs(times / 10_000 - 1).max() < 0.05


def test_the_last_of_all_tickets_picks_the_last_column() -> None:
    assert pick(packed(np.ones((1, 64), bool)), np.array([np.nextafter(1.0, 0.0)])).tolist() == [63]
