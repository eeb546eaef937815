"""The contract over catalogs that are odd: whatever can be drawn keeps every rule, what can't be is said."""

from __future__ import annotations

import numpy as np
import pytest
from catalogs import make_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling.oracle import check_row

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog
from rfm.vqa.columns import record_batch

EVERYTHING = [0.4, 0.4, 0.2]


def check(catalog: Catalog, seed: int = 0, total: int = 120, **data: object) -> Sampler:
    """Draw from the catalog and hold every row to the oracle."""
    sampler = Sampler(catalog, DataConfig(**{"max_frames": 8, **data}), total=total, seed=seed)
    index = {sampler.catalog.ids[i].as_py(): i for i in range(len(sampler.catalog))}
    for row in record_batch(sampler, sampler.draw(0, total), discrete=False).to_pylist():
        check_row(sampler.catalog, index, row, sampler._settings.max_frames)
    assert sum(sampler.quotas.counts) == total
    return sampler


def one_trajectory(rng: np.random.Generator) -> Catalog:
    return make_catalog(frames=[int(rng.integers(12, 80))])


def one_task(rng: np.random.Generator) -> Catalog:
    n = int(rng.integers(2, 40))
    return make_catalog(frames=rng.integers(12, 60, n).tolist(), quality=[2, *rng.integers(-1, 3, n - 1).tolist()])


def scored_failures(rng: np.random.Generator) -> Catalog:
    n = int(rng.integers(2, 30))
    partial = np.where(rng.random(n) < 0.7, rng.random(n), np.nan)
    partial[:2] = 0.0, 0.9
    return make_catalog(frames=rng.integers(5, 60, n).tolist(), quality=[0] * n, partial=partial.tolist(),
                        tasks=[0, 0, *rng.integers(0, 3, n - 2).tolist()])  # fmt: skip


def shortest(rng: np.random.Generator) -> Catalog:
    n = int(rng.integers(20, 60))
    return make_catalog(frames=rng.choice([1, 2, 3, 30], n).tolist(), tasks=rng.integers(0, 3, n).tolist(),
                        quality=rng.integers(-1, 3, n).tolist())  # fmt: skip


def missing_partial_success(rng: np.random.Generator) -> Catalog:
    n = int(rng.integers(10, 60))
    partial = np.where(rng.random(n) < 0.5, np.nan, rng.random(n))
    return make_catalog(frames=rng.integers(2, 50, n).tolist(), tasks=rng.integers(0, 2, n).tolist(),
                        quality=rng.integers(-1, 3, n).tolist(), partial=partial.tolist())  # fmt: skip


KINDS = (one_trajectory, one_task, scored_failures, shortest, missing_partial_success)


@pytest.mark.parametrize("make", KINDS)
@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), max_frames=st.sampled_from([2, 4, 8, 16]))
def test_every_row_that_can_be_drawn_keeps_the_contract(make, seed: int, max_frames: int) -> None:
    catalog = make(np.random.default_rng(seed))
    for ratio in ([1, 0, 0], [0, 1, 0], [0, 0, 1]):
        try:
            sampler = check(catalog, seed, max_frames=max_frames, sample_type_ratio=ratio, min_frames_per_trajectory=1)
            said = list(sampler.unsupported.values())
        except ConfigError as error:
            said = [line.strip().partition(": ")[2] for line in str(error).splitlines()[1:]]
        assert all(reason.startswith("needs ") for reason in said)


def test_nothing_is_asked_of_episodes_of_one_frame() -> None:
    with pytest.raises(ConfigError, match="no preference strategy is supported"):
        check(make_catalog(frames=[1] * 20, tasks=[0, 1] * 10), min_frames_per_trajectory=1)


def test_a_million_trajectories_of_one_task() -> None:
    n = 1_000_000
    rng = np.random.default_rng(0)
    catalog = make_catalog(frames=rng.integers(5, 90, n).tolist(), quality=rng.integers(0, 3, n).tolist())
    sampler = Sampler(catalog, DataConfig(max_frames=8, sample_type_ratio=[0.6, 0, 0.4]), total=200, seed=0)
    rows = record_batch(sampler, sampler.draw(0, 200), discrete=False).to_pylist()
    for row in rows:
        names = ("first", "second", "reference")
        shown = [row[f"{name}_trajectory_id"] for name in names if row[f"{name}_trajectory_id"]]
        check_row(catalog, {name: int(name[1:]) for name in shown}, row, 8)
    assert {name for _, name in sampler.unsupported} == {"different_task", "paired_human_robot"}
