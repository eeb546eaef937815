"""Evidence that contradicts itself: nothing is asked about it, and it is named."""

from __future__ import annotations

from typing import Any

import pytest
from catalogs import make_catalog, random_catalog

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.generation.columns import record_batch
from rfm.sampling.eval_sets import EvalSet
from rfm.sampling.evidence import Contested
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog

NONE = float("nan")


def contested(quality: int, partial: float, progress: list[float] | None = None, threshold: float = 0.2) -> bool:
    catalog = make_catalog(frames=[3], quality=[quality], partial=[partial], progress=[progress or []])
    return bool(Contested(catalog, threshold).rows[0])


@pytest.mark.parametrize(
    ("quality", "partial", "threshold", "expected"),
    [
        (0, 0.8, 0.2, False), (0, 0.81, 0.2, True), (0, 1.0, 0.2, True), (0, NONE, 0.2, False),
        (1, 1.0, 0.2, False), (1, 0.0, 0.2, False), (-1, 1.0, 0.2, False),
        (2, 0.8, 0.2, True), (2, 0.81, 0.2, False), (2, 0.3, 0.2, True), (2, NONE, 0.2, False),
        (0, 0.4, 0.9, False), (0, 0.6, 0.9, True), (2, 0.4, 0.5, True), (2, 0.6, 0.5, False),
    ],
)  # fmt: skip
def test_label_against_partial_success(quality: int, partial: float, threshold: float, expected: bool) -> None:
    assert contested(quality, partial, threshold=threshold) is expected


@pytest.mark.parametrize(("last", "partial", "expected"), [(0.5, 0.69, False), (0.5, 0.7, True), (0.5, 0.3, True)])
def test_recorded_progress_against_partial_success(last: float, partial: float, expected: bool) -> None:
    assert contested(1, partial, [0.0, 0.2, last]) is expected
    assert not contested(1, NONE, [0.0, 0.2, last])


def mixed() -> Catalog:
    quality, partial = [2, 2, 0, 0, 1, 1] * 10, [NONE, 0.1, 0.2, 0.95, 0.5, NONE] * 10
    return make_catalog(frames=[20] * 60, tasks=[at // 6 % 3 for at in range(60)], quality=quality, partial=partial)


@pytest.mark.parametrize("eval_mode", [False, True])
def test_nothing_is_asked_about_contested_episodes_and_they_are_named(eval_mode: bool) -> None:
    sampler = Sampler(mixed(), DataConfig(max_frames=4, sample_type_ratio=[1, 1, 1]), total=900, seed=0,
                      eval_mode=eval_mode)  # fmt: skip
    rows = record_batch(sampler, sampler.draw(0, 900), discrete=False).to_pylist()
    names = ("trajectory_id", "first_trajectory_id", "second_trajectory_id", "reference_trajectory_id")
    shown = {int(row[name][1:]) % 6 for row in rows for name in names if row[name]}
    assert shown <= {0, 2, 4, 5}
    assert sampler.usable.contested == 20
    assert sampler.notes[0] == (
        "20 trajectories whose label and `partial_success` contradict each other: t1 (successful, partial success "
        "0.1), t3 (failure, partial success 0.95), t7 (successful, partial success 0.1), …"
    )


def test_evaluation_sets_leave_them_out_too() -> None:
    drawn = EvalSet(mixed(), DataConfig(max_frames=4), "ranking", limit=None, seed=0)
    assert drawn.existing == 30
    assert "20 trajectories whose label" in drawn.notes[0]


def test_records_that_contradict_are_named_with_their_values() -> None:
    catalog = make_catalog(frames=[3, 3], quality=[1, -1], partial=[0.9, 0.4], progress=[[0, 0.1, 0.2], [0, 0.1, 0.5]])
    assert Contested(catalog, 0.2).notes == [
        "1 trajectories whose last recorded `progress` and `partial_success` contradict each other: "
        "t0 (suboptimal, last progress 0.2, partial success 0.9)"
    ]


def test_where_all_contradict_themselves_the_error_says_so() -> None:
    with pytest.raises(ConfigError, match=r"but has 4 trajectories whose label .* contradict .*; mend those"):
        Sampler(make_catalog(frames=[9] * 4, quality=[0] * 4, partial=[1.0] * 4), DataConfig(), total=10, seed=0)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({"quality": [2, 0]}, True),
        ({"quality": [2, 1]}, True),
        ({"quality": [2, 2]}, False),
        ({"quality": [2, -1]}, False),
        ({"quality": [2, -1], "partial": [NONE, 0.5]}, True),
        ({"quality": [0, 0], "partial": [0.3, 0.1]}, True),
        ({"quality": [0, 0], "partial": [0.3, 0.2]}, False),
        ({"quality": [-1, -1], "partial": [NONE, 0.5], "progress": [[0.0, 0.1, 0.2], []]}, True),
        ({"quality": [1, 1], "progress": [[0.0, 0.1, 0.2], [0.0, 0.1, 0.9]]}, True),
    ],
)
def test_rows_about_one_video_and_one_task_are_one_episode(evidence: dict[str, Any], expected: bool) -> None:
    one = make_catalog(frames=[3, 3], files=[0, 0], **evidence)
    assert Contested(one, 0.2).rows.tolist() == [expected] * 2
    for apart in ({"files": [0, 1]}, {"files": [0, 0], "tasks": [0, 1]}):
        assert not Contested(make_catalog(frames=[3, 3], **apart, **evidence), 0.2).rows.any()


def test_rows_about_one_episode_that_contradict_each_other_are_named() -> None:
    catalog = make_catalog(frames=[3, 3], files=[0, 0], quality=[2, 0], partial=[NONE, 0.2])
    assert Contested(catalog, 0.2).notes == [
        "2 trajectories whose rows about one frames file and task contradict each other: "
        "t0 (successful), t1 (failure, partial success 0.2)"
    ]


def test_where_nothing_contradicts_nothing_is_noted() -> None:
    catalog = random_catalog(0, 100, recorded=False)
    agreeing = catalog.select(~Contested(catalog, 0.2).rows)
    assert Contested(agreeing, 0.2).notes == []
