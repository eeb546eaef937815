"""The label contract, rule by rule, over random catalogs."""

from __future__ import annotations

import numpy as np
import pytest
from catalogs import make_catalog, random_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling.oracle import check_row, viewer_features
from sklearn.ensemble import HistGradientBoostingClassifier

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.generation.columns import record_batch
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog

EVERYTHING = [0.4, 0.4, 0.2]


def rows_of(
    catalog: Catalog, total: int, seed: int, *, eval_mode: bool = False, **data: object
) -> tuple[Sampler, list]:
    sampler = Sampler(catalog, DataConfig(**data), total=total, seed=seed, eval_mode=eval_mode)
    return sampler, record_batch(sampler, sampler.draw(0, total), discrete=False).to_pylist()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(30, 200),
    max_frames=st.sampled_from([2, 3, 4, 5, 8, 16, 33]),
    tasks=st.integers(2, 6),
    sources=st.integers(1, 3),
    recorded=st.booleans(),
    eval_mode=st.booleans(),
    groups=st.sampled_from([0, 0, 15, 60]),
)
def test_every_row_keeps_the_contract(
    seed: int, n: int, max_frames: int, tasks: int, sources: int, recorded: bool, eval_mode: bool, groups: int
) -> None:
    catalog = random_catalog(seed, n, tasks=tasks, sources=sources, recorded=recorded, groups=groups)
    sampler, rows = rows_of(
        catalog, 300, seed, eval_mode=eval_mode, max_frames=max_frames, sample_type_ratio=EVERYTHING
    )
    index = {sampler.catalog.ids[i].as_py(): i for i in range(len(sampler.catalog))}
    for row in rows:
        check_row(sampler.catalog, index, row, max_frames)


def test_shares_come_out_exactly_and_answers_are_balanced() -> None:
    _, rows = rows_of(random_catalog(1, 400), 2000, 1, max_frames=8, sample_type_ratio=[0.7, 0.3, 0.0])
    counts = {}
    for row in rows:
        key = row["sample_type"], row["data_gen_strategy"]
        counts.setdefault(key, []).append(row["answer"])
    assert sum(len(answers) for (kind, _), answers in counts.items() if kind == "preference") == 1400
    for (kind, strategy), answers in counts.items():
        shares = {"forward_progress": 150, "prefix_progress": 120, "whole_progress": 30, "same_task_progress": 400}
        assert len(answers) == shares.get(strategy, 200 if kind == "preference" else 100)
        assert kind == "progress" or answers.count("1") == len(answers) / 2


@pytest.mark.parametrize("block", [1, 7, 100])
def test_rows_do_not_depend_on_blocks(block: int) -> None:
    sampler = Sampler(random_catalog(2, 300), DataConfig(max_frames=8), total=500, seed=3)
    whole = record_batch(sampler, sampler.draw(0, 500), discrete=False).to_pylist()
    parts = [
        row
        for start in range(0, 500, block)
        for row in record_batch(sampler, sampler.draw(start, min(start + block, 500)), discrete=False).to_pylist()
    ]
    assert parts == whole


def test_another_seed_draws_other_rows() -> None:
    catalog = random_catalog(2, 300)
    assert rows_of(catalog, 200, 1)[1] != rows_of(catalog, 200, 2)[1]


@pytest.mark.parametrize(("max_frames", "recorded"), [(4, True), (4, False), (16, True), (16, False)])
def test_the_shape_of_clips_does_not_tell_the_answer(max_frames: int, recorded: bool) -> None:
    rng = np.random.default_rng(5)
    catalog = make_catalog(
        frames=[32] * 400,
        tasks=rng.integers(0, 8, 400).tolist(),
        quality=rng.integers(0, 3, 400).tolist(),
        progress=[
            np.clip(np.cumsum(rng.normal(0.03, 0.05, 32)), 0, 1).tolist() if recorded else [] for _ in range(400)
        ],
    )
    _, rows = rows_of(catalog, 16000, 7, max_frames=max_frames, sample_type_ratio=[1, 0, 0])
    features = np.array(
        [viewer_features(r["first_frame_indices"]) + viewer_features(r["second_frame_indices"]) for r in rows]
    )
    answers = np.array([row["answer"] for row in rows])
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(features[:8000], answers[:8000])
    assert model.score(features[8000:], answers[8000:]) <= 0.525


def test_the_viewer_features_find_a_shortcut_that_is_there() -> None:
    rng = np.random.default_rng(0)
    forward, back = list(range(8)), list(range(7, -1, -1))
    flips = rng.random(2000) < 0.5
    features = np.array(
        [viewer_features(forward if f else back) + viewer_features(back if f else forward) for f in flips]
    )
    model = HistGradientBoostingClassifier(max_iter=20).fit(features[:1000], flips[:1000])
    assert model.score(features[1000:], flips[1000:]) > 0.99


def test_the_rewound_clip_is_chosen_as_often_as_rejected() -> None:
    _, rows = rows_of(
        make_catalog(frames=[32] * 50), 4000, 0, max_frames=8, sample_type_ratio=[1, 0, 0],
        preference_strategy_ratio={"rewind": 1},
    )  # fmt: skip
    turns = {"chosen": 0, "rejected": 0}
    for row in rows:
        names = ("first", "second") if row["chosen_is_first"] else ("second", "first")
        for role, name in zip(turns, names, strict=True):
            turns[role] += min(np.diff(row[f"{name}_frame_indices"])) < 0
    assert 0.45 < turns["chosen"] / sum(turns.values()) < 0.55


def test_wrong_texts_are_drawn_as_often_as_right_ones() -> None:
    catalog = make_catalog(frames=[16] * 100, tasks=[0] * 50 + [1] * 30 + [2] * 20)
    _, rows = rows_of(catalog, 20000, 0, sample_type_ratio=[0, 1, 0])
    wrong = [row["task"] for row in rows if row["data_gen_strategy"] == "different_task_instruction"]
    right = [row["task"] for row in rows if row["data_gen_strategy"] == "forward_progress"]
    for task in set(right):
        assert abs(wrong.count(task) / len(wrong) - right.count(task) / len(right)) < 0.02


RIGHT = ("forward_progress", "prefix_progress", "whole_progress", "reverse_progress", "rewind")


def right_answers(rows: list) -> np.ndarray:
    """How often right instructions are answered 0, 1 to 9, 10 to 19, …, 90 to 99, 100."""
    answers = np.array([int(row["answer"]) for row in rows if row["data_gen_strategy"] in RIGHT])
    return np.histogram(answers, [0, 1, *range(10, 101, 10), 101])[0] / len(answers)


@pytest.mark.parametrize("max_frames", [4, 16])
@pytest.mark.parametrize("dataset_type", ["strategy_first", "trajectory_first"])
def test_by_time_100_is_as_frequent_as_any_tenth_and_0_is_not_there(max_frames: int, dataset_type: str) -> None:
    catalog = make_catalog(frames=list(range(40, 100)), tasks=[i % 3 for i in range(60)])
    _, rows = rows_of(catalog, 20000, 0, max_frames=max_frames, sample_type_ratio=[0, 1, 0], dataset_type=dataset_type)
    zero, *tenths, hundred = right_answers(rows)
    assert zero == 0
    assert hundred == pytest.approx(1 / 11, abs=0.006)
    assert tenths[1:] == pytest.approx([1 / 11] * 9, abs=0.015)
    assert tenths[0] >= 0.05, "no clip of two frames ends at the first"


def test_0_and_100_are_as_frequent_as_any_tenth_where_records_have_them() -> None:
    rise = np.linspace(0, 1, 41).round(4).tolist()
    catalog = make_catalog(frames=[41, 36] * 30, tasks=[0, 1] * 30, quality=[2, 0] * 30,
                           progress=[rise, rise[:36]] * 30)  # fmt: skip
    _, rows = rows_of(catalog, 20000, 0, max_frames=8, sample_type_ratio=[0, 1, 0])
    zero, *_, hundred = right_answers(rows)
    assert [zero, hundred] == pytest.approx([1 / 12] * 2, abs=0.006)


def test_half_of_the_forward_clips_begin_where_the_episode_does_and_they_reach_its_end() -> None:
    catalog = make_catalog(frames=[90] * 60, tasks=[i % 3 for i in range(60)])
    _, rows = rows_of(catalog, 12000, 0, max_frames=8, sample_type_ratio=[0, 1, 0])
    forward = [row["frame_indices"] for row in rows if row["data_gen_strategy"] in RIGHT[:3]]
    wrong = [row["frame_indices"] for row in rows if row["data_gen_strategy"] == "different_task_instruction"]
    for clips in (forward, wrong):
        first, last = np.array([(clip[0], clip[-1]) for clip in clips]).T
        assert np.mean(first == 0) == pytest.approx(0.53, abs=0.03)
        assert np.mean(last == 89) == pytest.approx(0.15, abs=0.02)
        assert np.mean((first == 0) & (last == 89)) == pytest.approx(0.12, abs=0.02)


def test_clips_of_wrong_instructions_are_laid_as_the_mixture_has_right_ones() -> None:
    catalog = make_catalog(frames=[90] * 60, tasks=[i % 3 for i in range(60)])
    ratio = {"different_task_instruction": 1, "whole_progress": 1}
    _, rows = rows_of(catalog, 100, 0, sample_type_ratio=[0, 1, 0], progress_strategy_ratio=ratio)
    assert {(row["frame_indices"][0], row["frame_indices"][-1]) for row in rows} == {(0, 89)}


def test_a_list_of_progress_shares_names_the_four_original_strategies() -> None:
    _, rows = rows_of(random_catalog(1, 200), 600, 0, sample_type_ratio=[0, 1, 0], progress_strategy_ratio=[1, 3, 1, 1])
    counts = {name: [row["data_gen_strategy"] for row in rows].count(name) for name in RIGHT}
    assert counts == {
        "forward_progress": 300, "prefix_progress": 0, "whole_progress": 0, "reverse_progress": 100, "rewind": 100,
    }  # fmt: skip


def test_partial_success_serves_whole_episodes_but_no_prefix() -> None:
    catalog = make_catalog(frames=[16] * 6, quality=[0] * 6, partial=[0.1, 0.3, 0.5, 0.7, 0.9, 0.2])
    sampler, rows = rows_of(catalog, 100, 0, max_frames=4, sample_type_ratio=[0, 1, 0])
    assert {row["data_gen_strategy"] for row in rows} == {"forward_progress", "whole_progress"}
    assert "whose every frame has a progress" in sampler.unsupported["progress", "prefix_progress"]


def test_a_discrete_answer_is_one_to_five() -> None:
    sampler = Sampler(make_catalog(frames=[32] * 9), DataConfig(discrete_progress=True, sample_type_ratio=[0, 1, 0]),
                      total=900, seed=0)  # fmt: skip
    rows = record_batch(sampler, sampler.draw(0, 900), discrete=True).to_pylist()
    for row in rows:
        assert int(row["answer"]) == 1 + int(np.floor(4 * row["end_progress"] + 0.5))
        assert "from 1 to 5" in row["prompt"]


def test_absolute_first_frame_counts_from_the_lowest_shown_frame() -> None:
    _, rows = rows_of(
        make_catalog(frames=[20] * 9, tasks=[0] * 9), 600, 0, max_frames=4, sample_type_ratio=[0, 1, 0],
        progress_pred_type="absolute_first_frame", progress_strategy_ratio={"forward_progress": 1, "rewind": 1},
    )  # fmt: skip
    for row in rows:
        shown = row["frame_indices"]
        expected = (shown[-1] - min(shown)) / (20 - min(shown) - 1)
        assert row["end_progress"] == pytest.approx(expected, abs=1e-6)


def test_absolute_first_frame_has_nothing_for_a_clip_that_ends_at_its_lowest_frame() -> None:
    catalog = make_catalog(frames=[20] * 9)
    _, rows = rows_of(
        catalog, 100, 0, max_frames=4, sample_type_ratio=[0, 1, 0], progress_pred_type="absolute_first_frame",
        progress_strategy_ratio={"reverse_progress": 1},
    )  # fmt: skip
    assert {row["answer"] for row in rows} == {"0"}
    assert {row["target_progress"][-1] for row in rows} == {0.0}


def test_evaluation_asks_about_each_whole_episode_before_any_again() -> None:
    catalog = make_catalog(frames=[20] * 40, tasks=[i % 4 for i in range(40)], quality=[2, 0] * 20)
    _, rows = rows_of(catalog, 20, 0, eval_mode=True, max_frames=4, sample_type_ratio=[0, 1, 0])
    assert len({row["trajectory_id"] for row in rows}) == 20, "of 20 that have a progress"


def test_relative_targets_are_differences_of_the_absolute_ones() -> None:
    settings_of = {"max_frames": 4, "sample_type_ratio": [0, 1, 0]}
    catalog = make_catalog(frames=[20] * 9, tasks=[i % 2 for i in range(9)])
    _, absolute = rows_of(catalog, 300, 0, **settings_of)
    _, relative = rows_of(catalog, 300, 0, progress_pred_type="relative_first_frame", **settings_of)
    for one, other in zip(absolute, relative, strict=True):
        assert one["answer"] == other["answer"]
        assert other["target_progress"] == pytest.approx(
            np.diff(one["target_progress"], prepend=one["target_progress"][0])
        )


def test_a_strategy_asked_for_but_not_supported_is_an_error() -> None:
    one_task = make_catalog(frames=[16] * 10)
    with pytest.raises(ConfigError, match="asks for 'different_task', which needs episodes of two tasks"):
        Sampler(one_task, DataConfig(preference_strategy_ratio={"different_task": 1}), total=10, seed=0)


@pytest.mark.parametrize(
    ("catalog", "reason"),
    [
        (make_catalog(frames=[16] * 10), "of two tasks, but the 10 there are have one task"),
        (make_catalog(frames=[16, 16, 1], tasks=[0, 0, 1]), "of two tasks, but the 2 there are have one task"),
        (
            make_catalog(frames=[16] * 4, tasks=[0, 1, 2, 3], quality=[-1] * 4),
            r"with known progress \(`quality_label` successful, `progress` recorded, or .*; 0 of 4 trajectories have",
        ),
        (
            make_catalog(frames=[16] * 4, tasks=[0, 1, 0, 1], groups=[0, 0, 1, 1]),
            r"but the 4 there are have 2 tasks, .* that don't show the same videos \(`preference_group_id`, `frames`\)",
        ),
    ],
)
def test_what_a_wrong_instruction_lacks_is_said(catalog: Catalog, reason: str) -> None:
    data = DataConfig(progress_strategy_ratio={"different_task_instruction": 1}, sample_type_ratio=[0, 1, 0])
    with pytest.raises(
        ConfigError, match=f"'different_task_instruction', which needs episodes of at least 2 .*{reason}"
    ):
        Sampler(catalog, data, total=10, seed=0)


def test_counterfactual_instructions_are_never_wrong_ones() -> None:
    """40 videos, each with its own instruction and, in a group, with another task's and a score of its own."""
    catalog = make_catalog(
        frames=[16] * 80, tasks=[(at + at // 40) % 4 for at in range(80)], groups=[at % 40 for at in range(80)],
        quality=[2] * 40 + [0] * 40, partial=[float("nan")] * 40 + [0.5] * 40,
    )  # fmt: skip
    _, rows = rows_of(catalog, 4000, 0, max_frames=4, sample_type_ratio=[0, 1, 0])
    index = {f"t{at}": at for at in range(80)}
    wrong = [row for row in rows if row["data_gen_strategy"] == "different_task_instruction"]
    shown = {
        (index[row["trajectory_id"]] % 4, int(row["task"][-1])) for row in wrong if index[row["trajectory_id"]] < 40
    }
    assert shown == {(own, (own + step) % 4) for own in range(4) for step in (2, 3)}, "all but its own and the next"
    for row in rows:
        check_row(catalog, index, row, 4)


def test_a_default_strategy_that_is_not_supported_gives_its_share_to_the_others() -> None:
    sampler, rows = rows_of(make_catalog(frames=[16] * 10), 100, 0, sample_type_ratio=[1, 0, 0])
    assert set(sampler.unsupported) == {("preference", "different_task"), ("preference", "suboptimal")}
    assert {row["data_gen_strategy"] for row in rows} == {
        "rewind", "reverse_progress", "same_task_progress", "stopped_early"
    }  # fmt: skip


def test_nothing_can_be_drawn_from_failures_without_a_record() -> None:
    with pytest.raises(ConfigError, match="no preference strategy is supported"):
        Sampler(make_catalog(frames=[16] * 10, quality=[0] * 10), DataConfig(), total=10, seed=0)


def test_partial_success_labels_the_end_of_an_unsuccessful_episode_and_nothing_before() -> None:
    catalog = make_catalog(frames=[16] * 6, quality=[-1] * 6, partial=[0.1, 0.3, 0.5, 0.7, 0.9, 0.2])
    _, rows = rows_of(catalog, 60, 0, max_frames=4, sample_type_ratio=[0, 1, 0])
    for row in rows:
        assert row["frame_indices"][-1] == 15
        assert row["target_progress"][:-1] == [None, None, None]


@pytest.mark.parametrize(
    ("ratio", "message"),
    [
        ([1, 1], "must be 4 shares"),
        ({"rewnd": 1}, "must name strategies among rewind"),
        ([0, 0, 0, 0], "all zeros"),
        ({"rewind": -1}, "rewind=-1"),
        ("rewind", "must be 4 shares"),
    ],
)
def test_a_wrong_ratio_is_refused(ratio: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sampler(random_catalog(0, 50), DataConfig(preference_strategy_ratio=ratio), total=10, seed=0)
