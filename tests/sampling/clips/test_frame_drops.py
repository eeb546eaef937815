"""Dropped frames: the rest of a row is as it was."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from catalogs import make_catalog, random_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling.oracle import progress_at, viewer_features
from sklearn.ensemble import HistGradientBoostingClassifier

from rfm.configs.experiment_configs import DataConfig
from rfm.generation.columns import record_batch
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog
from rfm.vqa.schema import CLIP_PREFIXES


def rows_of(catalog: Catalog, total: int, seed: int = 0, **data: Any) -> list:
    sampler = Sampler(catalog, DataConfig(min_frames_per_trajectory=1, **data), total=total, seed=seed)
    return record_batch(sampler, sampler.draw(0, total), discrete=False).to_pylist()


def is_part(part: list[int], whole: list[int]) -> bool:
    rest = iter(whole)
    return all(frame in rest for frame in part)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    max_frames=st.sampled_from([2, 3, 8, 16, 33]),
    share=st.sampled_from([0.1, 0.5, 0.9]),
    mixture=st.sampled_from(["balanced", "original"]),
)
def test_rows_lack_frames_and_nothing_else(seed: int, max_frames: int, share: float, mixture: str) -> None:
    catalog = random_catalog(seed, 80)
    index = {catalog.ids[i].as_py(): i for i in range(len(catalog))}
    data = {"max_frames": max_frames, "mixture": mixture, "sample_type_ratio": [0.4, 0.4, 0.2]}
    whole, part = rows_of(catalog, 200, seed, **data), rows_of(catalog, 200, seed, frame_dropping=share, **data)
    for before, after in zip(whole, part, strict=True):
        prefixes = CLIP_PREFIXES[after["sample_type"]]
        changing = {f"{p}{name}" for p in prefixes for name in ("frame_indices", "frames_shape")} | {"target_progress"}
        assert {name: v for name, v in before.items() if name not in changing} == {
            name: v for name, v in after.items() if name not in changing
        }
        for prefix in prefixes:
            old, new = before[f"{prefix}frame_indices"], after[f"{prefix}frame_indices"]
            assert (new[0], new[-1]) == (old[0], old[-1])
            assert is_part(new, old)
            assert len(old) - len(new) <= (len(old) - 2) * share
            assert after[f"{prefix}frames_shape"] == [len(new), *before[f"{prefix}frames_shape"][1:]]
        if after["sample_type"] == "progress":
            wrong = after["data_gen_strategy"] == "different_task_instruction"
            at = index[after["trajectory_id"]]
            truth = [0.0 if wrong else progress_at(catalog, at, frame) for frame in after["frame_indices"]]
            assert after["target_progress"] == pytest.approx(truth, abs=1e-6)
        else:
            first, second = after["first_frame_indices"], after["second_frame_indices"]
            assert len(first) == len(second)
            assert len(set(first)) == len(set(second))


def test_frames_are_dropped_about_half_as_often_as_they_may_be() -> None:
    rows = rows_of(make_catalog(frames=[400] * 50), 2000, frame_dropping=0.5, max_frames=16,
                   sample_type_ratio=[0, 1, 0], progress_strategy_ratio={"forward_progress": 1})  # fmt: skip
    lengths = [len(row["frame_indices"]) for row in rows if row["frame_indices"][-1] >= 40]
    assert set(lengths) == set(range(9, 17))
    assert np.mean(lengths) == pytest.approx(12.5, abs=0.2)
    assert any(len({b - a for a, b in pairwise(row["frame_indices"])}) > 1 for row in rows)


@pytest.mark.parametrize("block", [1, 7, 50])
def test_rows_do_not_depend_on_blocks(block: int) -> None:
    sampler = Sampler(random_catalog(2, 100), DataConfig(frame_dropping=0.4), total=100, seed=3)
    whole = record_batch(sampler, sampler.draw(0, 100), discrete=False).to_pylist()
    parts = [
        row
        for start in range(0, 100, block)
        for row in record_batch(sampler, sampler.draw(start, min(start + block, 100)), discrete=False).to_pylist()
    ]
    assert parts == whole


def test_gaps_do_not_tell_the_answer() -> None:
    catalog = make_catalog(frames=[32] * 200, tasks=[i % 8 for i in range(200)], quality=[i % 3 for i in range(200)])
    rows = rows_of(catalog, 12000, 7, frame_dropping=0.5, max_frames=8, sample_type_ratio=[1, 0, 0])
    features = np.array(
        [viewer_features(r["first_frame_indices"]) + viewer_features(r["second_frame_indices"]) for r in rows]
    )
    answers = np.array([row["answer"] for row in rows])
    model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(features[:6000], answers[:6000])
    assert model.score(features[6000:], answers[6000:]) <= 0.53
