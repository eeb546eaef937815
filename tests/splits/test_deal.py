from __future__ import annotations

import math
from itertools import count

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rfm.errors import ConfigError
from rfm.splits.controlled_rounding import controlled_rounding
from rfm.splits.deal import Strata, _words, assign, join, parse_shares

THREE = {"train": 0.8, "val": 0.1, "test": 0.1}
SHARES = st.sampled_from(
    [THREE, {"a": 0.5, "b": 0.5}, {"train": 0.9, "val": 0.1}, {"a": 0.25, "b": 0.35, "c": 0.25, "d": 0.15}]
)


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[str], np.ndarray]:
    """Names and group codes of some trajectories, in any order."""
    groups = draw(st.lists(st.integers(0, 15), min_size=4, max_size=80))
    names = draw(st.permutations([f"key/{at}" for at in range(len(groups))]))
    return list(names), np.array(groups)


def assigned(names, group, shares, seed=0, strata=None):
    """The sides, unless the groups are too few for them."""
    try:
        return assign(names, group, shares, seed, strata)
    except ConfigError:
        assume(False)


def by_name(names, side):
    return dict(zip(names, side.tolist(), strict=True))


@given(grouped(), SHARES, st.integers(0, 3))
def test_every_trajectory_has_one_side_and_groups_are_whole(episodes, shares, seed):
    names, group = episodes
    side = assigned(names, group, shares, seed)
    assert side.shape == group.shape
    assert set(side.tolist()) == set(range(len(shares)))
    assert all(len(set(side[group == one].tolist())) == 1 for one in set(group.tolist()))


@given(grouped(), SHARES, st.booleans(), st.randoms(use_true_random=False))
def test_neither_order_nor_codes_matter(episodes, shares, stratified, random):
    names, group = episodes
    strata = Strata(group % 3, np.arange(len(group)) % 4 - 1) if stratified else None
    side = by_name(names, assigned(names, group, shares, 7, strata))
    order = np.array(random.sample(range(len(names)), len(names)))
    other_codes = np.array(random.sample(range(100), 20))
    if strata is not None:
        strata = Strata(other_codes[strata.task[order]], other_codes[strata.quality[order] + 1])
    shuffled = [names[at] for at in order]
    assert by_name(shuffled, assign(shuffled, other_codes[group[order]], shares, 7, strata)) == side


@given(grouped(), SHARES, st.booleans())
def test_sides_have_their_shares_to_less_than_the_largest_group(episodes, shares, stratified):
    names, group = episodes
    strata = Strata(group % 3, group % 4) if stratified else None
    side = assigned(names, group, shares, 1, strata)
    wanted = np.array(list(shares.values())) * len(names)
    got = np.bincount(side, minlength=len(shares))
    assert (np.abs(got - wanted) < np.bincount(group).max() + 1e-9).all()


@given(
    st.integers(30, 300), st.integers(1, 12), st.sampled_from([THREE, {"train": 0.7, "val": 0.3}]), st.integers(0, 5)
)
def test_every_side_has_its_share_of_each_task_and_quality(size, tasks, shares, seed):
    rng = np.random.default_rng(seed)
    strata = Strata(rng.integers(0, tasks, size), rng.integers(-1, 3, size))
    side = assign([f"k/{at}" for at in range(size)], np.arange(size), shares, seed, strata)
    off = len(shares)  # 1 for each rounding, and up to 1 for the rounding of the totals
    for label in (strata.task, strata.quality + 1, strata.task * 4 + strata.quality + 1):
        for number, share in enumerate(shares.values()):
            wanted = share * np.bincount(label)
            got = np.bincount(label[side == number], minlength=len(wanted))
            assert (np.abs(got - wanted) < off).all()
    assert (np.abs(np.bincount(side) - size * np.array(list(shares.values()))) < 1).all()


def test_pairs_are_stratified_as_pairs():
    """400 judged pairs of one better and one worse episode, and of two equal ones: each kind in proportion."""
    task = np.repeat(np.arange(10), 80)
    quality = np.tile([2, 0, 1, 1], 200)
    group = np.repeat(np.arange(400), 2)
    side = assign([f"k/{at}" for at in range(800)], group, THREE, 3, Strata(task, quality))
    for one in range(10):
        for label in range(3):
            members = (task == one) & (quality == label)
            assert np.bincount(side[members]).tolist() == [round(members.sum() * share) for share in THREE.values()]


def test_one_huge_group_goes_to_the_largest_side():
    group = np.array([0] * 60 + list(range(1, 41)))
    side = assign([f"k/{at}" for at in range(100)], group, THREE, 5, Strata(group % 2, group % 3))
    assert set(side[:60].tolist()) == {0}
    assert np.bincount(side).tolist() == [80, 10, 10]


def test_the_seed_chooses_and_every_group_has_its_chance():
    names, group = [f"k/{at}" for at in range(40)], np.arange(40) // 2
    sides = np.stack([assign(names, group, THREE, seed) for seed in range(300)])
    assert len({tuple(side) for side in sides.tolist()}) > 250
    share_of_train = (sides == 0).mean(axis=0)
    assert (np.abs(share_of_train - 0.8) < 0.1).all()


ASSIGNED = [1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0]


def test_an_assignment_stays_what_it_was():
    side = assign([f"k/{at}" for at in range(12)], np.arange(12), {"a": 0.5, "b": 0.5}, 42)
    assert side.tolist() == ASSIGNED


def test_too_few_groups_are_an_error():
    with pytest.raises(ConfigError) as caught:
        assign(["a", "b", "c", "d"], np.zeros(4, int), THREE, 0)
    assert str(caught.value) == (
        "`split` must have no more sides than there are groups, but has 3 for 1 group of 4 trajectories; ask for fewer "
        "or larger sides, split --by something smaller, or add trajectories"
    )


def test_a_side_without_anything_is_an_error():
    with pytest.raises(
        ConfigError, match=r"but `b` \(0.01 of 30 trajectories\) gets none of the 3 groups of up to 10 "
    ):
        assign([f"k/{at}" for at in range(30)], np.arange(30) % 3, {"a": 0.98, "b": 0.01, "c": 0.01}, 0)


@given(st.lists(st.lists(st.integers(-1, 6), min_size=12, max_size=12), min_size=1, max_size=3))
def test_joined_are_those_who_share_a_code_and_whoever_shares_one_with_them(codes):
    group = join([np.array(code) for code in codes])
    reached = [{at} for at in range(12)]
    for _ in range(12):
        for code in codes:
            for at, other in np.ndindex(12, 12):
                if code[at] == code[other] >= 0:
                    reached[at] |= reached[other]
    assert all((group[at] == group[other]) == (other in reached[at]) for at, other in np.ndindex(12, 12))


@given(st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=3), min_size=1, max_size=8), st.integers(1, 40))
def test_rounding_a_table_rounds_its_margins_too(rows, denominator):
    table = np.array(rows)
    rounded = controlled_rounding(table, denominator, _words("x"))
    pairs = [(table, rounded)] + [(table.sum(axis=axis), rounded.sum(axis=axis)) for axis in (0, 1, None)]
    for before, after in pairs:
        assert (np.abs(np.asarray(after) - np.asarray(before) / denominator) < 1).all()


def test_rounding_keeps_expectations():
    table, rounds = np.array([[1, 5, 3], [2, 4, 7], [3, 3, 0]]), 3000
    mean = sum(controlled_rounding(table, 4, _words(f"{one}")) for one in range(rounds)) / rounds
    assert np.abs(mean - table / 4).max() < 4 * math.sqrt(0.25 / rounds)


def test_whole_tables_stay():
    table = np.array([[4, 8], [0, 12]])
    assert controlled_rounding(table, 4, iter(count())).tolist() == [[1, 2], [0, 3]]


def test_shares_are_read():
    assert parse_shares("train=0.8, val=0.1,test=1e-1") == THREE
    assert list(parse_shares("b=0.5,a=0.5")) == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train=0.8,val", "must be name=share,… (letters, digits, `_`, `-`), but one part is 'val'"),
        ("train=0.8,../val=0.2", "must be name=share,… (letters, digits, `_`, `-`), but one part is '../val=0.2'"),
        ("a=0.5,a=0.5", "must name each side once, but names `a` twice"),
        ("train=0.8,val=much", "must have shares above 0 and below 1, but `val` has 'much'"),
        ("train=1.0,val=0", "must have shares above 0 and below 1, but `train` has '1.0'"),
        ("train=nan,val=0.5", "must have shares above 0 and below 1, but `train` has 'nan'"),
        ("train=0.9", "must name two sides or more, but is 'train=0.9'"),
        ("train=0.8,val=0.3", "must have shares that sum to 1, but they sum to 1.1"),
        ("a=0.5,b=0.2", "must have shares that sum to 1, but they sum to 0.7; add another side, e.g. unused=0.3"),
    ],
)
def test_shares_that_make_no_split_are_named(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_shares(text)
    assert str(caught.value) == f"`split` {message}"
