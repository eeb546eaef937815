"""Who did better, against every pair looked at by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from catalogs import make_catalog
from hypothesis import given
from hypothesis import strategies as st

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.sampling.pairs.levels import Level
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog

T = 0.2
NONE = float("nan")
EPISODES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-1, 2), st.sampled_from([NONE, 0.1, 0.25, 0.5, 0.55, 0.9])),
    min_size=1, max_size=14,
)  # fmt: skip


def catalog_of(episodes: list[tuple[int, int, float]]) -> Catalog:
    groups, quality, partial = (list(column) for column in zip(*episodes, strict=True))
    return make_catalog(frames=[9] * len(episodes), tasks=groups, quality=quality, partial=partial)


def better(one: tuple[int, int, float], other: tuple[int, int, float], all_partial: bool) -> tuple[bool, bool]:
    """Whether what decides calls `one` better than `other`, and whether the other evidence says the opposite."""
    labels = [label for _, label, _ in (one, other)]
    partials = [1.0 if label == 2 and math.isnan(partial) else partial for _, label, partial in (one, other)]
    known = not any(map(math.isnan, partials))
    if all_partial:
        return partials[0] - partials[1] >= T - 1e-6, min(labels) >= 0 and labels[0] < labels[1]
    decided = labels[0] > labels[1] >= 0
    return decided, known and partials[0] < partials[1] - 1e-6


@given(EPISODES)
def test_partners_are_those_that_all_evidence_calls_better_or_worse(episodes: list) -> None:
    catalog, n = catalog_of(episodes), len(episodes)
    level = Level.build(catalog, np.ones(n, bool), catalog.task_code, T - 1e-6)
    complete = {
        group: all(label == 2 or not math.isnan(partial) for at, label, partial in episodes if at == group)
        for group, _, _ in episodes
    }
    divided = 0
    for one in range(n):
        same = [other for other in range(n) if other != one and episodes[other][0] == episodes[one][0]]
        says = {other: better(episodes[one], episodes[other], complete[episodes[one][0]]) for other in same}
        back = {other: better(episodes[other], episodes[one], complete[episodes[one][0]]) for other in same}
        expected = {(other, False) for other in same if says[other] == (True, False)}
        worse = {(other, True) for other in same if says[other] == (True, False)}
        above = {(other, False) for other in same if back[other] == (True, False)}
        divided += sum(found == (True, True) for found in says.values())
        assert level.partners[one] == len(worse | above)
        assert level.worse_partners[one] == len(expected)
        count = len(worse | above)
        tickets = (np.arange(count) + 0.5) / max(count, 1)
        partner, is_better = level.partner(np.full(count, one), tickets)
        assert set(zip(partner.tolist(), is_better.tolist(), strict=True)) == worse | above
        nth = level.nth_worse(np.full(len(worse), one), np.arange(len(worse)))
        assert {(other, True) for other in nth.tolist()} == worse
    assert level.contrary.sum() == divided


def test_pairs_that_the_evidence_is_divided_on_are_counted_and_named() -> None:
    catalog = make_catalog(frames=[9] * 4, quality=[2, 1, 0, 0], partial=[NONE, 0.3, 0.7, NONE])
    sampler = Sampler(catalog, DataConfig(sample_type_ratio=[1, 0, 0]), total=300, seed=0)
    assert sampler.notes == [
        "pairs by quality: 1 pairs of episodes whose labels say the opposite of `partial_success`, the first: "
        "t1 (suboptimal, partial success 0.3) and t2 (failure, partial success 0.7)"
    ]


def test_a_success_has_the_partial_success_it_states() -> None:
    catalog = make_catalog(frames=[9] * 3, quality=[2, 1, 1], partial=[0.85, 0.95, NONE])
    level = Level.build(catalog, np.ones(3, bool), catalog.task_code * 0, T - 1e-6)
    assert level.worse_partners.tolist() == [1, 0, 0]
    assert level.nth_worse(np.array([0]), np.array([0])).tolist() == [2]
    assert level.first_contrary() == (0, 1)


def test_where_the_evidence_is_divided_on_every_pair_the_error_says_so() -> None:
    catalog = make_catalog(frames=[9] * 3, quality=[1, 0, 0], partial=[0.3, 0.5, 0.6])
    with pytest.raises(ConfigError, match=r"of 3 trajectories none do, and 2 pairs of episodes whose labels say the"):
        Sampler(catalog, DataConfig(sample_type_ratio=[1, 0, 0]), total=300, seed=0)


@pytest.mark.parametrize("eval_mode", [False, True])
def test_no_pair_is_asked_that_the_evidence_is_divided_on(eval_mode: bool) -> None:
    rng = np.random.default_rng(0)
    quality = rng.integers(-1, 3, 120)
    partial = np.where(rng.random(120) < 0.8, rng.random(120) * 0.8, NONE)
    partial[quality == 2] = NONE
    catalog = make_catalog(
        frames=[9] * 120, tasks=rng.integers(0, 6, 120).tolist(), quality=quality.tolist(), partial=partial.tolist()
    )
    ratio = None if eval_mode else {"suboptimal": 1}
    data = DataConfig(sample_type_ratio=[1, 0, 0], preference_strategy_ratio=ratio)
    block = Sampler(catalog, data, total=3000, seed=0, eval_mode=eval_mode).draw(0, 3000)
    first, second = (slot.trajectory for slot in block.slots[:2])
    chosen, rejected = np.where(block.answer == 1, [first, second], [second, first])
    score = np.where(quality == 2, 1.0, partial)
    assert not (score[chosen] < score[rejected] - 1e-6).any()
    assert not ((quality[chosen] < quality[rejected]) & (quality[chosen] >= 0)).any()
