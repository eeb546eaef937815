import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.batch.packing import PackedBatches, deal, plan
from rfm.errors import ConfigError

LENGTHS = st.lists(st.integers(1, 40), min_size=8, max_size=200).map(np.array)


@given(LENGTHS, st.integers(40, 120), st.integers(0, 9), st.integers(0, 3), st.sampled_from([1, 2, 8]))
def test_every_row_is_in_exactly_one_bin_that_holds_it(lengths, room, seed, epoch, processes):
    try:
        planned = plan(lengths, room, seed, multiple_of=processes)
    except ConfigError:  # so few rows, so long, that no plan is a multiple
        assert len(plan(lengths, room, seed)) > len(lengths) - processes
        return
    for bins in (planned, deal(planned, lengths, seed, epoch)):
        assert sorted(np.concatenate(bins).tolist()) == list(range(len(lengths)))
        assert all(0 < lengths[rows].sum() <= room for rows in bins)
        assert len(bins) % processes == 0


@given(LENGTHS, st.integers(0, 9))
def test_the_same_seed_and_epoch_give_the_same_batches(lengths, seed):
    one, other = PackedBatches(lengths, 80, seed), PackedBatches(lengths, 80, seed)
    other.set_epoch(3)
    later = list(other)
    other.set_epoch(0)
    assert list(one) == list(other)
    one.set_epoch(3)
    assert list(one) == later
    assert len(one) == len(later)


def test_epochs_and_seeds_give_other_batches():
    lengths = np.random.default_rng(0).integers(600, 1000, 500)
    batches = PackedBatches(lengths, 8192, 0)
    orders = []
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        batches = PackedBatches(lengths, 8192, seed)
        batches.set_epoch(epoch)
        orders.append({frozenset(rows) for rows in batches})
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_rows_of_equal_length_meet_other_rows_in_every_epoch():
    lengths = np.full(200, 10)
    batches = PackedBatches(lengths, 100, 0)
    first = {frozenset(rows) for rows in batches}
    batches.set_epoch(1)
    assert len(batches) == 20
    assert not first & {frozenset(rows) for rows in batches}


def test_bins_are_filled_and_lengths_stay_mixed():
    rng = np.random.default_rng(0)
    lengths = np.where(rng.random(4000) < 0.7, 1700, 850) + rng.integers(0, 60, 4000)
    batches = PackedBatches(lengths, 16384, 0, processes=8)
    assert batches.filled > 0.95
    long_ones = np.array([(lengths[rows] > 1500).mean() for rows in batches])
    assert 0.6 < np.median(long_ones) < 0.8
    assert long_ones.std() < 0.3
    place = np.concatenate([np.full(len(rows), at) for at, rows in enumerate(batches)])
    assert abs(np.corrcoef(place, lengths[np.concatenate(list(batches))])[0, 1]) < 0.1  # no curriculum by length


def test_resuming_is_skipping():
    batches = PackedBatches(np.random.default_rng(0).integers(5, 20, 100), 60, 7)
    batches.set_epoch(2)
    whole = list(batches)
    again = PackedBatches(batches.lengths, 60, 7)
    again.set_epoch(2)
    assert list(again)[5:] == whole[5:]


def test_what_cannot_be_packed():
    with pytest.raises(
        ConfigError, match=r"`max_tokens` must be at least 50 \(tokens of row 1, the longest\), but is 40"
    ):
        plan(np.array([10, 50, 20]), 40, 0)
    with pytest.raises(
        ConfigError, match="3 rows that fill a batch each must be a multiple of 2 processes, but are not"
    ):
        plan(np.array([30, 30, 30]), 40, 0, multiple_of=2)
    with pytest.raises(ConfigError, match="must have at least 4 rows, one for each of the processes, but has 3"):
        plan(np.array([10, 50, 20]), 400, 0, multiple_of=4)
