import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.audit.reading.ragged import Ragged, read_ragged
from rfm.errors import DataError

LISTS = st.lists(st.lists(st.integers(-3, 9), max_size=6), max_size=8)


def ragged(lists: list[list[int]]) -> Ragged:
    return read_ragged(pa.chunked_array([pa.array(lists, pa.list_(pa.int32()))]), "x", pa.int64())


@given(lists=LISTS, seed=st.integers(0, 99))
def test_it_says_of_all_lists_what_python_says_of_each(lists, seed):
    all_lists = ragged(lists)
    assert len(all_lists) == len(lists)
    assert all_lists.lengths.tolist() == [len(one) for one in lists]
    assert all_lists.at(0).tolist() == [one[0] if one else -1 for one in lists]
    assert all_lists.at(2).tolist() == [one[2] if len(one) > 2 else -1 for one in lists]
    assert all_lists.at(-1).tolist() == [one[-1] if one else -1 for one in lists]
    assert all_lists.lowest().tolist() == [min(one, default=-1) for one in lists]
    assert all_lists.highest().tolist() == [max(one, default=-1) for one in lists]
    assert all_lists.distinct().tolist() == [len(set(one)) for one in lists]
    assert all_lists.any(all_lists.values == 4).tolist() == [4 in one for one in lists]
    assert all_lists.place.tolist() == [place for one in lists for place in range(len(one))]
    assert all_lists.owner.tolist() == [at for at, one in enumerate(lists) for _ in one]
    chosen = np.random.default_rng(seed).integers(0, max(len(lists), 1), 5 if lists else 0)
    taken = all_lists.take(chosen)
    assert [one.tolist() for one in np.split(taken.values, taken.offsets[1:-1])[: len(chosen)]] == [
        lists[at] for at in chosen
    ]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.large_list(pa.int16()), pa.list_(pa.int32(), 2), pa.list_(pa.float32())], ids=str
)
def test_lists_of_any_kind_are_read_in_chunks_with_nulls(kind):
    column = pa.chunked_array([pa.array([[1, 2], None], kind), pa.array([[3, 4]], kind)])
    read = read_ragged(column, "x", pa.int64())
    assert read.values.tolist() == [1, 2, 3, 4]
    assert read.offsets.tolist() == [0, 2, 2, 4]


def test_null_values_are_minus_one_or_nan():
    column = pa.chunked_array([pa.array([[1, None]], pa.list_(pa.float64()))])
    assert np.isnan(read_ragged(column, "x", pa.float64()).values[1])
    assert read_ragged(column, "x", pa.int64()).values.tolist() == [1, -1]


@pytest.mark.parametrize("values", [["a"], [["a"]], [[1.5]]], ids=["text", "texts", "halves"])
def test_other_columns_are_an_error(values):
    with pytest.raises(DataError, match="`frame_indices` must hold lists of numbers, but is"):
        read_ragged(pa.chunked_array([pa.array(values)]), "frame_indices", pa.int64())
