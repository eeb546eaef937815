"""Which trajectories serve a strategy (`data.dataset_type`, boosts), and the compatibility mixture."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from catalogs import make_catalog, random_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling.oracle import BOTH, check_row, progress_at, steps, viewer_features
from sklearn.ensemble import HistGradientBoostingClassifier

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.generation.columns import record_batch
from rfm.sampling.random import RowRandom
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog

EVERYTHING = [0.4, 0.4, 0.2]


def rows_of(catalog: Catalog, total: int, seed: int = 0, **data: Any) -> tuple[Sampler, list]:
    sampler = Sampler(catalog, DataConfig(min_frames_per_trajectory=1, **data), total=total, seed=seed)
    return sampler, record_batch(sampler, sampler.draw(0, total), discrete=False).to_pylist()


def check_rows(catalog: Catalog, rows: list, max_frames: int, *, original: bool = False) -> None:
    index = {catalog.ids[i].as_py(): i for i in range(len(catalog))}
    for row in rows:
        check_row(catalog, index, row, max_frames, original=original)


@given(st.integers(1, 60), st.integers(1, 500), st.integers(0, 2**63 - 1))
def test_tickets_in_turn_come_equally_often(total: int, rows: int, seed: int) -> None:
    random = RowRandom(seed, np.zeros(rows, np.uint64), np.arange(rows))
    drawn = random.ticket("test", total)
    counts = np.bincount(drawn, minlength=total)
    assert len(counts) == total
    assert counts.max() - counts.min() <= 1
    by_parity = np.array([np.bincount(drawn[side::2], minlength=total) for side in (0, 1)])
    if rows % total == 0 or total % 2 == 0:
        assert np.abs(by_parity[0] - by_parity[1]).max() <= 1


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    max_frames=st.sampled_from([2, 4, 16]),
    mixture=st.sampled_from(["balanced", "original"]),
)
def test_trajectory_first_keeps_the_contract(seed: int, max_frames: int, mixture: str) -> None:
    catalog = random_catalog(seed, 120)
    _, rows = rows_of(
        catalog, 400, seed, dataset_type="trajectory_first", mixture=mixture, max_frames=max_frames,
        sample_type_ratio=EVERYTHING,
    )  # fmt: skip
    check_rows(catalog, rows, max_frames, original=mixture == "original")


def test_every_trajectory_serves_a_strategy_equally_often() -> None:
    catalog = random_catalog(4, 150)
    sampler, rows = rows_of(
        catalog, 5000, dataset_type="trajectory_first", max_frames=8, sample_type_ratio=[0.5, 0.5, 0]
    )
    served: dict[tuple[str, str], Counter] = {}
    for row in rows:
        name = row["trajectory_id"] or row["first_trajectory_id"]
        served.setdefault((row["sample_type"], row["data_gen_strategy"]), Counter())[name] += 1
    alone = {("preference", "rewind"), ("preference", "reverse_progress")}
    alone |= {("progress", name) for name in ("forward_progress", "reverse_progress", "rewind")}
    assert alone < set(served)
    asked = sampler.catalog  # without the episodes whose evidence contradicts itself
    able = {asked.ids[i].as_py() for i in np.flatnonzero(sampler.progress.known_at_end & (asked.num_frames > 1))}
    assert set(served["progress", "forward_progress"]) == able
    for strategy in alone:
        assert max(served[strategy].values()) - min(served[strategy].values()) <= 1, strategy


def test_the_order_is_that_of_the_seed() -> None:
    catalog = make_catalog(frames=[16] * 40)
    of_seed = [
        [row["first_trajectory_id"] for row in rows_of(
            catalog, 40, seed, dataset_type="trajectory_first", sample_type_ratio=[1, 0, 0],
            preference_strategy_ratio={"rewind": 1},
        )[1]]
        for seed in (0, 1, 0)
    ]  # fmt: skip
    assert of_seed[0] == of_seed[2] != of_seed[1]
    assert sorted(of_seed[0]) == sorted(of_seed[1]) == sorted(catalog.ids.to_pylist())


@pytest.mark.parametrize("episodes", [10, 11])
def test_the_trajectory_does_not_tell_the_answer(episodes: int) -> None:
    _, rows = rows_of(
        make_catalog(frames=[16] * episodes), 20 * episodes, dataset_type="trajectory_first",
        sample_type_ratio=[1, 0, 0], preference_strategy_ratio={"rewind": 1},
    )  # fmt: skip
    sides = Counter((row["first_trajectory_id"], row["answer"]) for row in rows)
    assert set(sides.values()) == {10}


@pytest.mark.parametrize("dataset_type", ["strategy_first", "trajectory_first"])
@pytest.mark.parametrize("boost", [1, 2, 5])
def test_sources_that_suit_similarity_serve_it_more_often(dataset_type: str, boost: int) -> None:
    # source 0 has failures and people, source 1 only differing partial success, source 2 only robots
    catalog = make_catalog(
        frames=[16] * 120,
        tasks=[i % 2 for i in range(120)],
        sources=[0] * 40 + [1] * 40 + [2] * 40,
        quality=[0 if i < 10 else 2 if i < 40 or i % 4 < 2 else -1 for i in range(120)],
        partial=[0.1 if i < 10 or (i >= 40 and i % 4 >= 2) else np.nan for i in range(120)],
        is_robot=[not 20 <= i < 30 for i in range(120)],
    )
    settings_of = {"dataset_type": dataset_type, "source_boost": boost, "sample_type_ratio": [0, 0, 1]}
    _, rows = rows_of(catalog, 6000, similarity_strategy_ratio={"suboptimal": 1}, **settings_of)
    drawn = Counter(row["data_source"] for row in rows)
    assert drawn["source0"] / drawn["source1"] == pytest.approx(boost, rel=0.12)
    _, rows = rows_of(catalog, 6000, similarity_strategy_ratio={"paired_human_robot": 1}, **settings_of)
    drawn = Counter(row["data_source"] for row in rows)
    robots = 1 if dataset_type == "strategy_first" else 30 / 40
    assert drawn["source0"] / drawn["source2"] == pytest.approx(boost * robots, rel=0.12)
    check_rows(catalog, rows, 16)


def test_preference_is_not_boosted() -> None:
    catalog = random_catalog(1, 200)
    assert rows_of(catalog, 300, source_boost=9)[1] == rows_of(catalog, 300)[1]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(30, 120),
    max_frames=st.sampled_from([3, 4, 5, 8, 16, 33]),
    recorded=st.booleans(),
)
def test_the_original_mixture(seed: int, n: int, max_frames: int, recorded: bool) -> None:
    catalog = random_catalog(seed, n, recorded=recorded)
    _, rows = rows_of(catalog, 300, seed, mixture="original", max_frames=max_frames, sample_type_ratio=EVERYTHING)
    check_rows(catalog, rows, max_frames, original=True)
    for row in rows:
        if row["sample_type"] == "progress" or row["data_gen_strategy"] not in ("rewind", "reverse_progress"):
            continue
        sides = ("first_", "second_") if row["answer"] == "1" else ("second_", "first_")
        better, worse = (row[f"{side}frame_indices"] for side in sides)
        assert steps(better) == {1}
        assert len(set(better)) == len(better) == len(set(worse))
        assert steps(worse) == ({1, -1} if row["data_gen_strategy"] == "rewind" else {-1})


def test_opposite_pairs_are_drawn_wherever_there_are_any() -> None:
    catalog = random_catalog(9, 80)
    sampler, rows = rows_of(
        catalog, 3000, mixture="original", max_frames=4, sample_type_ratio=[1, 0, 0],
        preference_strategy_ratio={"reverse_progress": 1}, dataset_type="trajectory_first",
    )  # fmt: skip
    asked, able = sampler.catalog, set()
    for at in np.flatnonzero(sampler.progress.known):
        curve = [progress_at(asked, at, frame) for frame in range(asked.num_frames[at])]
        grid = sampler.progress.curves(np.array([at])).frames[0]
        ends = [frame for frame in grid.tolist() if frame < len(curve)]
        # with the fewest shown frames, 3, a clip needs two frames' way
        if any(curve[b] - curve[a] >= 0.2 - 1e-6 for a in ends for b in ends if b - a >= 4):
            able.add(asked.ids[at].as_py())
    assert {row["first_trajectory_id"] for row in rows} == able


def test_in_the_original_mixture_the_shape_tells_the_answer() -> None:
    catalog = make_catalog(frames=[32] * 200, tasks=[i % 8 for i in range(200)], quality=[i % 3 for i in range(200)])
    scores = {}
    for mixture in ("balanced", "original"):
        _, rows = rows_of(catalog, 8000, 7, mixture=mixture, max_frames=16, sample_type_ratio=[1, 0, 0])
        features = np.array(
            [viewer_features(r["first_frame_indices"]) + viewer_features(r["second_frame_indices"]) for r in rows]
        )
        answers = np.array([row["answer"] for row in rows])
        model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(features[:4000], answers[:4000])
        scores[mixture] = model.score(features[4000:], answers[4000:])
    assert scores["balanced"] < 0.54
    assert 0.72 < scores["original"] < 0.78, "the two strategies of four whose pairs are of one episode"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), max_frames=st.sampled_from([3, 4, 8, 16, 33]), recorded=st.booleans())
def test_two_strategies_in_one_sample(seed: int, max_frames: int, recorded: bool) -> None:
    catalog = random_catalog(seed, 100, recorded=recorded)
    _, rows = rows_of(catalog, 300, seed, strategies_per_sample=2, max_frames=max_frames, sample_type_ratio=EVERYTHING)
    check_rows(catalog, rows, max_frames)
    both = [row for row in rows if row["data_gen_strategy"] == BOTH]
    assert {row["sample_type"] for row in both} == {"preference", "progress"}
    for row in both:
        if row["sample_type"] == "preference":
            clips = [row["first_frame_indices"], row["second_frame_indices"]]
            assert all(clip[1] < clip[0] for clip in clips)
            assert any(1 in steps(clip) for clip in clips)


def test_of_two_strategies_the_shape_does_not_tell_the_answer() -> None:
    catalog = make_catalog(frames=[32] * 200, tasks=[i % 8 for i in range(200)])
    _, rows = rows_of(
        catalog, 12000, 7, strategies_per_sample=2, max_frames=8, sample_type_ratio=[1, 0, 0],
        preference_strategy_ratio=[1, 0, 1, 1, 2],
    )  # fmt: skip
    assert Counter(row["data_gen_strategy"] for row in rows)[BOTH] == 4800
    features = np.array(
        [viewer_features(r["first_frame_indices"]) + viewer_features(r["second_frame_indices"]) for r in rows]
    )
    answers = np.array([row["answer"] for row in rows])
    model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(features[:6000], answers[:6000])
    assert model.score(features[6000:], answers[6000:]) <= 0.53


def test_two_strategies_have_a_share_of_their_own() -> None:
    catalog = random_catalog(1, 200)
    _, rows = rows_of(catalog, 1600, strategies_per_sample=2, sample_type_ratio=[0.5, 0.5, 0])
    counts = Counter((row["sample_type"], row["data_gen_strategy"]) for row in rows)
    assert {counts["preference", name] for name in ("rewind", "suboptimal", "different_task", BOTH)} == {100}
    assert (counts["progress", BOTH], counts["progress", "forward_progress"]) == (114, 172)
    with pytest.raises(ConfigError, match=r"must be 5 shares \(rewind, suboptimal, .*, reverse_progress\+rewind\)"):
        rows_of(catalog, 10, strategies_per_sample=2, preference_strategy_ratio=[1, 1, 1, 1])
