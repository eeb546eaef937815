import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rfm.sampling.pairs.spread import Spread


@given(width=st.integers(1, 70), rows=st.integers(1, 5), seed=st.integers(0, 1000))
def test_any_run_of_any_row(width: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((rows, width), np.float32)
    row = rng.integers(0, rows, 40)
    first, past = rng.integers(0, width, 40), rng.integers(0, width + 1, 40)
    found = Spread(values, values).of(row, first, past)
    for which, begin, end, spread in zip(row, first, past, found, strict=True):
        run = values[which, begin:end]
        assert spread == (run.max() - run.min() if len(run) else -1)


def test_what_lies_outside_a_run_may_be_unknown() -> None:
    values = np.array([[0.5, 0.25, np.nan, np.nan, np.nan]], np.float32)
    spread = Spread(values, values)
    assert spread.of(np.array([0, 0]), np.array([0, 1]), np.array([2, 2])).tolist() == [0.25, 0.0]


def test_columns_that_do_not_count() -> None:
    high = np.array([[-np.inf, 0.75, -np.inf, 1.0]], np.float32)
    low = np.array([[0.5, np.inf, 0.25, np.inf]], np.float32)
    found = Spread(high, low).of(np.zeros(4, int), np.array([0, 1, 1, 0]), np.array([2, 2, 4, 1]))
    assert found.tolist() == [0.25, -np.inf, 0.75, -np.inf]
