"""Pairs by quality are of one frame size and of two videos."""

from itertools import product

import numpy as np
import pytest
from catalogs import make_catalog

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.generation.columns import record_batch
from rfm.sampling.eval_sets import EvalSet
from rfm.sampling.pairs.quality import EveryQualityPair
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog

QUALITY = DataConfig(sample_type_ratio=[1, 0, 0], preference_strategy_ratio={"suboptimal": 1})
NOTE = "2 trajectories have partners of another frame size only, which would tell the answer"


def rows_of(catalog: Catalog) -> tuple[Sampler, set[frozenset[str]]]:
    sampler = Sampler(catalog, QUALITY, total=400, seed=0)
    rows = record_batch(sampler, sampler.draw(0, 400), discrete=False).to_pylist()
    return sampler, {frozenset((row["first_trajectory_id"], row["second_trajectory_id"])) for row in rows}


def of_sizes() -> Catalog:
    """Task 0: one success and one failure of size 8, one failure of size 16; task 1: only of unequal sizes."""
    return make_catalog(
        frames=[16] * 6, tasks=[0, 0, 0, 1, 1, 1], quality=[2, 0, 0, 2, 0, 2], sizes=[8, 8, 16, 8, 16, 8]
    )


def test_pairs_are_of_one_size_and_what_is_lost_is_said() -> None:
    sampler, pairs = rows_of(of_sizes())
    assert pairs == {frozenset(("t0", "t1"))}
    assert sampler.notes == [f"pairs by quality: {NOTE.replace('2 traj', '4 traj')}"]


def test_without_a_pair_of_one_size_the_reason_is_said() -> None:
    catalog = make_catalog(frames=[16] * 2, quality=[2, 0], sizes=[8, 16])
    with pytest.raises(
        ConfigError, match=f"of one task and frame size that differ .* 2 trajectories none do, and {NOTE}"
    ):
        Sampler(catalog, QUALITY, total=4, seed=0)


def test_a_size_is_worth_more_than_a_source() -> None:
    catalog = make_catalog(frames=[16] * 3, quality=[2, 0, 0], sources=[0, 0, 1], sizes=[8, 16, 8])
    assert rows_of(catalog)[1] == {frozenset(("t0", "t2"))}


def test_every_pair_of_an_evaluation_set_is_of_one_size() -> None:
    catalog = of_sizes()
    every = EveryQualityPair(catalog, np.ones(6, bool), 0.2)
    better, worse = every[np.arange(every.starts[-1])]
    assert list(zip(better.tolist(), worse.tolist(), strict=True)) == [(0, 1)]
    assert EvalSet(catalog, QUALITY, "quality", limit=None, seed=0).notes == [NOTE.replace("2 traj", "4 traj")]


def test_two_rows_about_one_file_are_no_pair() -> None:
    catalog = make_catalog(frames=[16] * 4, quality=[2, 0, 2, 0], files=[0, 0, 1, 2])
    found = rows_of(catalog)[1]
    assert found <= {frozenset(pair) for pair in product(("t0", "t2"), ("t3",))}
