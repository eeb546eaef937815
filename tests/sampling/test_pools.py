"""Orders draw by weight, and step over whole places and single trajectories exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.errors import DataError
from rfm.sampling.barred import barred
from rfm.sampling.pools import Layout, Order, Runs
from rfm.sampling.random import RowRandom


def rows(count: int) -> RowRandom:
    return RowRandom(0, np.arange(count, dtype=np.uint64))


@given(st.integers(0, 1000), st.booleans())
def test_tickets_reach_all_that_is_not_stepped_over_by_its_weight(seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 14
    area, place, kind = rng.integers(0, 2, n), rng.integers(0, 4, n), rng.integers(0, 3, n)
    members = rng.random(n) < 0.7
    weights = rng.integers(1, 4, n) if weighted else np.ones(n, np.int64)
    held = np.argwhere(rng.random((3, 4)) < 0.4).T
    pairs = barred(kind, rng.integers(-1, 4, n), "preference_group_id")
    over = {tuple(pair) for pair in held.T.tolist()}
    pairs = pairs.only(
        np.array([(k, place[t]) not in over for k, t in zip(pairs.family, pairs.trajectory, strict=True)], bool)
    )
    single = set(zip(pairs.family.tolist(), pairs.trajectory.tolist(), strict=True))
    order = Order(Layout.build(area, place, kind, (held[0], held[1]), pairs), members, weights if weighted else None)
    assert order.total == weights[members].sum()
    for one in range(n):
        wanted = members & (area == area[one])
        for at in range(n):
            wanted[at] &= (kind[one], place[at]) not in over and (kind[one], at) not in single
        assert order.outside(np.array([one])) == weights[wanted].sum()
        tickets = np.arange(weights[wanted].sum())
        reached = order.at_outside(tickets, np.full(len(tickets), one))
        assert np.bincount(reached, minlength=n).tolist() == np.where(wanted, weights, 0).tolist()


@given(st.integers(0, 1000))
def test_a_group_bars_each_of_its_families_from_its_other_members(seed: int) -> None:
    rng = np.random.default_rng(seed)
    family, group = rng.integers(0, 4, 14), rng.integers(-1, 4, 14)
    pairs = barred(family, group, "frames")
    shared = {(int(family[mate]), at) for at in range(14) for mate in range(14) if group[at] == group[mate] >= 0}
    expected = {(told, at) for told, at in shared if told != family[at]}
    found = list(zip(pairs.family.tolist(), pairs.trajectory.tolist(), strict=True))
    assert (set(found), len(found)) == (expected, len(expected))
    told, at = np.divmod(np.arange(4 * 14), 14)
    assert pairs.hold(told, at).tolist() == [pair in expected for pair in zip(told.tolist(), at.tolist(), strict=True)]
    both = pairs.joined(barred(family, group, "frames"))
    assert sorted(zip(both.family.tolist(), both.trajectory.tolist(), strict=True)) == sorted(expected)


def test_groups_too_large_to_pair_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfm.sampling.barred.MOST_BARRED", 8)
    with pytest.raises(DataError, match=r"`preference_group_id` must name small groups, .* 9 instructions and videos"):
        barred(np.arange(3), np.zeros(3, int), "preference_group_id")


@given(st.integers(0, 1000), st.booleans())
def test_runs_draw_within_a_code_by_weight(seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    code, weights = rng.integers(0, 4, 9) * 2, rng.integers(1, 4, 9)
    runs = Runs(code, weights if weighted else None)
    weights = weights if weighted else np.ones(9, np.int64)
    for wanted in range(8):
        total = weights[code == wanted].sum()
        assert runs.weight(np.array([wanted])) == total
        drawn = runs.draw((np.arange(total) + 0.5) / max(total, 1), np.full(total, wanted))
        assert np.bincount(drawn, minlength=9).tolist() == np.where(code == wanted, weights, 0).tolist()


def test_nothing_to_draw_from() -> None:
    each = np.arange(3)
    order = Order(Layout.build(each * 0, each, each, (each, each)), np.zeros(3, bool))
    assert len(order) == 0
    assert not order.outside(slice(None)).any()
    assert Runs(np.zeros(0, np.int64)).weight(each).tolist() == [0, 0, 0]
    assert order.draw(rows(0), "x").tolist() == []
