import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.sampling.quotas import Quotas, largest_remainder
from rfm.sampling.random import permute

SHARES = st.dictionaries(
    st.tuples(st.sampled_from(["preference", "progress"]), st.sampled_from("abcdef")),
    st.floats(0.01, 100),
    min_size=1,
)


@given(st.integers(0, 10**7), SHARES)
def test_each_count_is_within_one_of_its_share_and_they_add_up(total, shares):
    counts = largest_remainder(total, shares)
    assert list(counts) == list(shares)
    assert sum(counts.values()) == total
    for name, count in counts.items():
        assert abs(count - total * shares[name] / sum(shares.values())) < 1 + 1e-6


@pytest.mark.parametrize(
    ("total", "shares", "counts"),
    [
        (10, {"a": 7, "b": 3}, {"a": 7, "b": 3}),
        (10, {"a": 1, "b": 1, "c": 1}, {"a": 4, "b": 3, "c": 3}),
        (2, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 0}),
        (0, {"a": 1}, {"a": 0}),
        (1, {"a": 0.4, "b": 0.6}, {"a": 0, "b": 1}),
    ],
)
def test_shares_by_hand(total, shares, counts):
    named = {("preference", name): share for name, share in shares.items()}
    assert largest_remainder(total, named) == {("preference", name): count for name, count in counts.items()}


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any), st.integers(0, 2**63 - 1))
def test_every_rank_of_every_strategy_is_dealt_once(counts, seed):
    quotas = Quotas(tuple(("preference", str(number)) for number in range(len(counts))), tuple(counts), seed)
    strategy, rank = quotas.assign(np.arange(quotas.total, dtype=np.uint64))
    for number, count in enumerate(counts):
        assert sorted(rank[strategy == number].tolist()) == list(range(count))


@given(st.integers(1, 5000), st.integers(0, 2**63 - 1))
def test_positions_are_shuffled_without_loss(total, seed):
    places = permute(np.arange(total, dtype=np.uint64), total, seed, "quotas")
    assert sorted(places.tolist()) == list(range(total))


def test_the_shuffle_leaves_no_runs():
    quotas = Quotas((("preference", "a"), ("progress", "b")), (5000, 5000), seed=1)
    strategy, _ = quotas.assign(np.arange(10000, dtype=np.uint64))
    assert abs(strategy[:1000].mean() - 0.5) < 0.06
    assert abs((strategy[1:] == strategy[:-1]).mean() - 0.5) < 0.03
