"""Pools draw by weight, and from another task or group wherever there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.errors import DataError
from rfm.sampling.pools import Groups, Order, Pool, barred
from rfm.sampling.random import RowRandom


def rows(count: int) -> RowRandom:
    return RowRandom(0, np.arange(count, dtype=np.uint64))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_groups_are_numbered_in_order_within_wider_ones(codes: list[tuple[int, int]]) -> None:
    outer, inner = np.array(codes).T
    groups = Groups.build(outer, inner)
    distinct = sorted(set(codes))
    assert [distinct[group] for group in groups.of] == codes
    assert [codes[at] for at in groups.order] == sorted(codes)
    for group, (wider, _) in enumerate(distinct):
        inside = [at for at, (other, _) in enumerate(distinct) if other == wider]
        assert (groups.first[group], groups.last[group]) == (inside[0], inside[-1])


@given(st.integers(0, 1000), st.booleans())
def test_tickets_reach_all_members_outside_the_group_by_their_weight(seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    outer, inner = rng.integers(0, 2, 12), rng.integers(0, 3, 12)
    members = rng.random(12) < 0.6
    weights = rng.integers(1, 4, 12) if weighted else np.ones(12, np.int64)
    order = Order(Groups.build(outer, inner), members, weights if weighted else None)
    assert order.total == weights[members].sum()
    for one in range(12):
        wanted = members & (outer == outer[one]) & (inner != inner[one])
        assert order.outside(np.array([one])) == weights[wanted].sum()
        tickets = np.arange(weights[wanted].sum())
        reached = order.at_outside(tickets, np.full(len(tickets), one))
        assert np.bincount(reached, minlength=12).tolist() == np.where(wanted, weights, 0).tolist()


@given(st.integers(0, 1000), st.booleans())
def test_what_a_preference_group_has_a_score_for_is_stepped_over(seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    source, task, group = rng.integers(0, 2, 14), rng.integers(0, 4, 14), rng.integers(-1, 4, 14)
    members = rng.random(14) < 0.7
    weights = rng.integers(1, 4, 14) if weighted else np.ones(14, np.int64)
    pairs = barred(task, group)
    shared = {(int(task[mate]), at) for at in range(14) for mate in range(14) if group[at] == group[mate] >= 0}
    expected = {(told, at) for told, at in shared if told != task[at]}
    found = list(zip(pairs.task.tolist(), pairs.trajectory.tolist(), strict=True))
    assert (set(found), len(found)) == (expected, len(expected))
    told, at = np.divmod(np.arange(4 * 14), 14)
    assert pairs.hold(told, at).tolist() == [pair in expected for pair in zip(told.tolist(), at.tolist(), strict=True)]
    for outer in (source, source * 0):
        order = Order(Groups.build(outer, task), members, weights if weighted else None, pairs)
        for one in range(14):
            wanted = members & (outer == outer[one]) & (task != task[one])
            wanted[[other for told, other in expected if told == task[one]]] = False
            assert order.outside(np.array([one])) == weights[wanted].sum()
            tickets = np.arange(weights[wanted].sum())
            reached = order.at_outside(tickets, np.full(len(tickets), one))
            assert np.bincount(reached, minlength=14).tolist() == np.where(wanted, weights, 0).tolist()


def test_groups_too_large_to_pair_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfm.sampling.pools.MOST_BARRED", 8)
    with pytest.raises(DataError, match=r"`preference_group_id` must name small groups, .* 9 instructions and videos"):
        barred(np.arange(3), np.zeros(3, int))


def test_another_task_of_the_same_source_where_there_is_one() -> None:
    source, task = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])
    pool = Pool(Groups.build(source, task), Groups.build(source * 0, task), np.ones(4, bool))
    assert pool.has_other_task().all()
    unlike = np.tile([0, 2], 50)
    drawn = pool.draw_other_task(rows(100), "x", unlike, np.ones(100, bool))
    assert set(drawn[unlike == 0]) == {1}, "its own source has one"
    assert set(drawn[unlike == 2]) == {1}, "its own has none"


def test_an_empty_pool() -> None:
    groups = Groups.build(np.zeros(3, int), np.arange(3))
    pool = Pool(groups, groups, np.zeros(3, bool))
    assert len(pool) == 0
    assert not pool.has_other_task().any()
