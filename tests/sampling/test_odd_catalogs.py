"""The contract over catalogs that are odd: whatever can be drawn keeps every rule, what can't be is said."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from catalogs import make_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling.oracle import check_row
from sampling.whole_sets import check_pairs, check_scores

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.generation.columns import record_batch
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog

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
            said = re.findall(r"^  \w+: (.+)", str(error), re.M)
            assert said
        assert all(reason.startswith("needs ") for reason in said)


def test_nothing_is_asked_of_episodes_of_one_frame() -> None:
    with pytest.raises(ConfigError, match="no preference strategy is supported"):
        check(make_catalog(frames=[1] * 20, tasks=[0, 1] * 10), min_frames_per_trajectory=1)


def test_a_million_trajectories_of_one_task() -> None:
    n, total = 1_000_000, 2_000
    rng = np.random.default_rng(0)
    partial = np.where(rng.random(n) < 0.5, rng.random(n), np.nan)
    catalog = make_catalog(
        frames=rng.integers(5, 90, n).tolist(), quality=rng.integers(0, 3, n).tolist(), partial=partial.tolist()
    )
    settings = DataConfig(max_frames=8, sample_type_ratio=[0.3, 0.5, 0.2])
    sampler = Sampler(catalog, settings, total=total, seed=0)
    rows = record_batch(sampler, sampler.draw(0, total), discrete=False).to_pylist()
    for row in rows:
        names = ("", "first_", "second_", "reference_")
        drawn = [row[f"{name}trajectory_id"] for name in names if row[f"{name}trajectory_id"]]
        check_row(catalog, {name: int(name[1:]) for name in drawn}, row, 8)
    assert len({row["trajectory_id"] for row in rows if row["trajectory_id"]}) > 990, "of the whole million"
    missing = {"different_task", "different_task_instruction", "paired_human_robot"}
    assert {name for _, name in sampler.unsupported} == missing


def test_a_million_rows_of_one_task() -> None:
    n, total, block = 300, 1_000_000, 50_000
    rng = np.random.default_rng(1)
    walks = np.clip(np.cumsum(rng.normal(0.04, 0.08, (n, 40)), axis=1), 0, 1)
    curves = [walk.tolist() if rng.random() < 0.3 else [] for walk in walks]
    partial = np.where(rng.random(n) < 0.5, rng.random(n), np.nan)
    frames = [len(curve) or int(rng.integers(5, 90)) for curve in curves]
    quality = rng.integers(-1, 3, n).tolist()
    catalog = make_catalog(frames=frames, quality=quality, partial=partial.tolist(), progress=curves)
    sampler = Sampler(catalog, DataConfig(max_frames=4, sample_type_ratio=[0.3, 0.7, 0]), total=total, seed=0)
    index = {f"t{at}": at for at in range(n)}
    drawn = Counter()
    for start in range(0, total, block):
        rows = record_batch(sampler, sampler.draw(start, start + block), discrete=False)
        check_scores(catalog, rows.filter(pc.equal(rows["sample_type"], "progress")), 4)
        check_pairs(catalog, rows.filter(pc.equal(rows["sample_type"], "preference")), 4)
        drawn.update(rows["data_gen_strategy"].to_pylist())
        for row in rows.take(pa.array(rng.integers(0, block, 100))).to_pylist():
            check_row(catalog, index, row, 4)
    of_pairs = {"suboptimal": 50_000, "stopped_early": 50_000, "same_task_progress": 100_000}
    both = 140_000 + 50_000
    forward = {"forward_progress": 210_000, "prefix_progress": 168_000, "whole_progress": 42_000}
    assert drawn == {**forward, "reverse_progress": both, "rewind": both, **of_pairs}


def test_more_frames_than_any_episode_has_cost_no_more() -> None:
    check(make_catalog(frames=[40] * 12, tasks=[0, 1] * 6), total=60, max_frames=512)
