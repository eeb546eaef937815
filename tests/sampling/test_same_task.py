"""Pairs of one task at different progress, and successes against what stopped early."""

from collections import Counter

import numpy as np
import pytest
from catalogs import make_catalog, random_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling.oracle import check_row

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.generation.columns import record_batch
from rfm.sampling.pairs.partners import PartnersBelow
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog

NONE = float("nan")
STAGES = {"same_task_progress": 1, "stopped_early": 1}


def rows_of(catalog: Catalog, total: int, seed: int = 0, **data: object) -> list[dict]:
    data = {"sample_type_ratio": [1, 0, 0], "preference_strategy_ratio": STAGES, **data}
    sampler = Sampler(catalog, DataConfig(**data), total=total, seed=seed)
    return record_batch(sampler, sampler.draw(0, total), discrete=False).to_pylist()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    max_frames=st.sampled_from([2, 3, 4, 8, 16, 33]),
    recorded=st.booleans(),
    dataset_type=st.sampled_from(["strategy_first", "trajectory_first"]),
)
def test_every_row_keeps_the_contract(seed: int, max_frames: int, recorded: bool, dataset_type: str) -> None:
    catalog = random_catalog(seed, 80, recorded=recorded)
    rows = rows_of(catalog, 300, seed, max_frames=max_frames, dataset_type=dataset_type)
    index = {catalog.ids[at].as_py(): at for at in range(len(catalog))}
    for row in rows:
        check_row(catalog, index, row, max_frames)


@pytest.mark.parametrize(
    ("quality", "partial", "both_whole"),
    [
        ([0, 1], [NONE, NONE], True),
        ([1, 0], [NONE, NONE], False),
        ([1, 1], [0.6, 0.75], True),
        ([1, 1], [0.7, 0.65], False),
        ([-1, 1], [NONE, 0.9], True),
    ],
)
def test_whole_episodes_are_no_pair_where_label_or_partial_success_denies_it(
    quality: list[int], partial: list[float], both_whole: bool
) -> None:
    curves = [[0.1, 0.2, 0.3, 0.45, 0.6], [0.1, 0.2, 0.3, 0.6, 0.8]]
    catalog = make_catalog(frames=[5, 5], quality=quality, partial=partial, progress=curves)
    rows = rows_of(catalog, 600, preference_strategy_ratio={"same_task_progress": 1}, max_frames=3)
    ends = {(row["first_frame_indices"][-1], row["second_frame_indices"][-1]) for row in rows}
    assert ((4, 4) in ends) is both_whole
    assert {frame for pair in ends for frame in pair} == {2, 3, 4}


@given(seed=st.integers(0, 1000), n=st.integers(1, 40))
def test_partners_are_those_below_the_limit(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    group, members = rng.integers(0, 4, n), rng.random(n) < 0.7
    value, limit = rng.random(n).round(1), rng.random(n).round(1) - 0.05
    partners = PartnersBelow(group, members, value, limit)
    for one in range(n):
        expected = {
            other
            for other in np.flatnonzero(members).tolist()
            if other != one and group[other] == group[one] and value[other] <= limit[one]
        }
        numbers = np.arange(partners.count[one])
        assert set(partners.at(np.full(len(numbers), one), numbers).tolist()) == expected
        assert len(numbers) == len(expected)


def test_every_success_serves_and_every_other_pair_is_of_one_episode() -> None:
    rows = rows_of(make_catalog(frames=[32] * 20), 4000, preference_strategy_ratio={"stopped_early": 1})
    own = [row["first_trajectory_id"] == row["second_trajectory_id"] for row in rows]
    assert 0.45 < np.mean(own) < 0.55
    whole = Counter(row["first_trajectory_id" if row["chosen_is_first"] else "second_trajectory_id"] for row in rows)
    assert len(whole) == 20


def test_one_episode_alone_is_set_against_its_own_beginning() -> None:
    rows = rows_of(make_catalog(frames=[32]), 200, preference_strategy_ratio={"stopped_early": 1})
    for row in rows:
        shown = row["first_frame_indices"], row["second_frame_indices"]
        assert set(shown[0]) & set(shown[1]) == {0}


def test_pairs_of_two_episodes_are_drawn_from_the_start_every_other_time() -> None:
    rows = rows_of(make_catalog(frames=[32] * 20), 2000, preference_strategy_ratio={"same_task_progress": 1})
    from_first = [row["first_frame_indices"][0] == row["second_frame_indices"][0] == 0 for row in rows]
    assert 0.5 < np.mean(from_first) < 0.65


def test_rows_about_one_file_are_no_pair() -> None:
    catalog = make_catalog(frames=[32] * 3, files=[0, 0, 1])
    rows = rows_of(catalog, 200, preference_strategy_ratio={"same_task_progress": 1})
    assert {frozenset((row["first_trajectory_id"], row["second_trajectory_id"])) for row in rows} == {
        frozenset(("t0", "t2"))
    }
    with pytest.raises(ConfigError, match="needs two episodes of one task, source and frame size, of known progress"):
        rows_of(make_catalog(frames=[32] * 2, files=[0, 0]), 10, preference_strategy_ratio={"same_task_progress": 1})


def test_what_a_success_against_a_stop_lacks_is_said() -> None:
    with pytest.raises(
        ConfigError,
        match=r"'stopped_early', which needs successful episodes whose end lies data.min_progress_gap=0.2 above an "
        "earlier frame, .*; 0 of 3 trajectories are successful and have 4 frames",
    ):
        rows_of(make_catalog(frames=[32] * 3, quality=[0] * 3), 10, preference_strategy_ratio={"stopped_early": 1})


def test_a_list_of_shares_has_no_place_for_them() -> None:
    rows = rows_of(make_catalog(frames=[32] * 20, tasks=[0, 1] * 10), 100, preference_strategy_ratio=[1, 0, 0, 1])
    assert Counter(row["data_gen_strategy"] for row in rows) == {"rewind": 50, "reverse_progress": 50}
    with pytest.raises(
        ConfigError,
        match=r"must be 4 shares \(rewind, .*\) or a mapping of strategies, which may also be same_task_progress, "
        "stopped_early, but is",
    ):
        rows_of(make_catalog(frames=[32] * 20), 10, preference_strategy_ratio=[1, 0, 0, 1, 1, 1])
