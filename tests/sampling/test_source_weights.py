"""How often each data source is drawn from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from catalogs import make_catalog
from generating import options
from hypothesis import given
from hypothesis import strategies as st
from sampling.test_contract import rows_of
from worlds import make_world

from rfm.configs.compose import load_config
from rfm.configs.experiment_configs import DataConfig, ExperimentConfig, validate
from rfm.errors import ConfigError
from rfm.generation.generate import generate
from rfm.sampling.sampler import Sampler
from rfm.sampling.source_shares import TOTAL, shared_weights
from rfm.trajectories.catalog import Catalog

MIXED = [0.4, 0.4, 0.2]


def of_sizes(*sizes: int) -> Catalog:
    """Sources of these sizes, each with both qualities of four tasks that people do too."""
    n = sum(sizes)
    return make_catalog(
        frames=[16] * n,
        tasks=[at % 4 for at in range(n)],
        sources=np.repeat(np.arange(len(sizes)), sizes).tolist(),
        quality=[2 if at // 4 % 2 else 0 for at in range(n)],
        is_robot=[at // 8 % 3 > 0 for at in range(n)],
    )


def shares_of(catalog: Catalog, total: int = 24000, **data: Any) -> dict[tuple[str, str], dict[str, float]]:
    """The share of each source in the rows of each strategy."""
    counts: dict[tuple[str, str], Counter] = {}
    for row in rows_of(catalog, total, 0, max_frames=4, sample_type_ratio=MIXED, **data)[1]:
        counts.setdefault((row["sample_type"], row["data_gen_strategy"]), Counter())[row["data_source"]] += 1
    return {name: {key: n / count.total() for key, n in count.items()} for name, count in counts.items()}


@pytest.mark.parametrize(
    ("weights", "small"),
    [
        (None, 0.5),
        ("uniform", 0.5),
        ("proportional", 48 / 2448),
        (1, 48 / 2448),
        (2, 48**0.5 / (48**0.5 + 2400**0.5)),
        ({"source0": 1, "source1": 3}, 0.75),
    ],
)
def test_sources_share_every_strategy_as_they_weigh(weights: Any, small: float) -> None:
    found = shares_of(of_sizes(2400, 48), source_weights=weights, source_boost=1)
    assert {kind for kind, _ in found} == {"preference", "progress", "similarity"}
    for strategy, share in found.items():
        assert share.get("source1", 0) == pytest.approx(small, abs=0.07 if strategy[1] == "whole_progress" else 0.05), (
            strategy
        )


def test_twenty_thousand_episodes_leave_half_of_the_rows_to_twenty() -> None:
    catalog = make_catalog(frames=[8] * 20020, sources=[0] * 20000 + [1] * 20)
    _, rows = rows_of(catalog, 20000, 1, max_frames=4)
    assert Counter(row["data_source"] for row in rows)["source1"] == pytest.approx(10000, abs=300)


def test_only_sources_that_can_serve_a_strategy_count() -> None:
    """Source 2 has failures alone: only `suboptimal` would need them, and it has no partners for them."""
    catalog = make_catalog(
        frames=[16] * 90,
        sources=np.repeat([0, 1, 2], 30).tolist(),
        quality=[2] * 60 + [0] * 30,
        tasks=[0] * 60 + [1] * 30,
    )
    found = shares_of(catalog, source_weights={"source0": 1, "source1": 1, "source2": 98})
    assert found["progress", "forward_progress"] == pytest.approx({"source0": 0.5, "source1": 0.5}, abs=0.03)


def test_trajectory_first_draws_every_trajectory_alike() -> None:
    found = shares_of(of_sizes(600, 60), dataset_type="trajectory_first", source_boost=1)
    assert found["preference", "rewind"]["source1"] == pytest.approx(60 / 660, abs=0.01)
    config = ExperimentConfig(DataConfig(dataset_type="trajectory_first", source_weights="uniform"))
    with pytest.raises(
        ConfigError, match=r"must be null or proportional with data.dataset_type=trajectory_first, which"
    ):
        validate(config)


@given(
    held=st.lists(st.lists(st.integers(0, 1100), min_size=1, max_size=20), min_size=1, max_size=6),
    data=st.data(),
)
def test_weights_add_up_to_the_shares_and_keep_their_proportion(held: list[list[int]], data: st.DataObject) -> None:
    shares = np.array(data.draw(st.lists(st.floats(0.001, 1000), min_size=len(held), max_size=len(held))))
    source = np.repeat(np.arange(len(held)), [len(part) for part in held])
    weights = np.array([weight for part in held for weight in part], np.int64)
    members = np.array(data.draw(st.lists(st.booleans(), min_size=len(source), max_size=len(source))))
    out = shared_weights(shares, source, members, weights)
    there = members & (weights > 0)
    assert ((out > 0) == there).all()
    assert out.sum() < 2**52
    for at in np.unique(source[there]):
        inside = there & (source == at)
        expected = shares[at] / shares[np.unique(source[there])].sum() * TOTAL
        assert out[inside].sum() == pytest.approx(expected, rel=1e-5)
        assert out[inside] / out[inside].sum() == pytest.approx(weights[inside] / weights[inside].sum(), rel=1e-5)


def test_a_source_without_a_weight_is_an_error() -> None:
    with pytest.raises(ConfigError, match="a weight for every data source, but has none for `source1`"):
        Sampler(of_sizes(40, 40), DataConfig(source_weights={"source0": 1}), total=10, seed=0)


def test_a_weight_for_no_source_is_an_error(tmp_path) -> None:
    world = make_world(tmp_path)
    with pytest.raises(
        ConfigError, match="must name data sources of the datasets, but names `bridge`; those there are: `t"
    ):
        generate(options(world, tmp_path / "vqa", "data.source_weights={toy_train:1,bridge:2}"))


def test_weights_of_training_sources_hold_for_a_split_that_lacks_one(tmp_path) -> None:
    """A split by source leaves one of them to each side; a mapping that names both is right for both."""
    for key in ("one", "other"):
        make_world(tmp_path, key, episodes=24)
    overrides = ("data.train_datasets=[one,other]", "data.source_weights={one:1,other:4}")
    sides = options(
        tmp_path, tmp_path / "vqa", *overrides, split="train=0.5,test=0.5", split_by="source", num_samples=60,
        split_near_duplicates="ignore",
    )  # fmt: skip
    assert generate(sides) == tmp_path / "vqa"
    assert load_config(overrides=list(overrides)).data.source_weights == {"one": 1, "other": 4}
