"""What is known of asking a task's instruction of a clip, and what the strategies make of it."""

from __future__ import annotations

import numpy as np
import pytest
from catalogs import make_catalog

from rfm.configs.experiment_configs import DataConfig
from rfm.sampling.block import FIRST, SECOND
from rfm.sampling.instructions import (
    ELSEWHERE,
    OTHER_SCENE,
    OWN,
    OWN_TASK,
    SAME_SCENE,
    UNKNOWN,
    UNKNOWN_SCENE,
)
from rfm.sampling.sampler import Sampler
from rfm.sampling.usable import Usable
from rfm.trajectories.catalog import Catalog

UP, DOWN = [i / 19 for i in range(20)], [1 - i / 19 for i in range(20)]


def relation(catalog: Catalog, task: int, trajectory: int) -> int:
    return int(Usable(catalog, 1, 0.2).instructions.relation(np.array([task]), np.array([trajectory]))[0])


def kind(catalog: Catalog, task: int, trajectory: int) -> int:
    known = Usable(catalog, 1, 0.2).instructions
    one = np.array([task]), np.array([trajectory])
    return int(known.kind(known.relation(*one), *one)[0])


def test_another_scene_is_0_the_same_scene_needs_a_record():
    catalog = make_catalog(frames=[20] * 3, tasks=[0, 1, 2], scenes=[0, 0, 1], towards={(0, 1): DOWN})
    assert relation(catalog, 0, 0) == OWN
    assert relation(catalog, 1, 0) == 0, "the entry that records it"
    assert relation(catalog, 0, 1) == UNKNOWN, "nothing is recorded the other way round"
    assert relation(catalog, 2, 0) == ELSEWHERE
    assert [kind(catalog, task, 0) for task in (0, 1, 2)] == [OWN_TASK, SAME_SCENE, OTHER_SCENE]


def test_a_task_that_occurs_in_two_scenes_is_elsewhere_in_neither():
    catalog = make_catalog(frames=[20] * 3, tasks=[0, 0, 1], scenes=[0, 1, 1])
    assert [relation(catalog, 0, 2), relation(catalog, 1, 0), relation(catalog, 1, 1)] == [UNKNOWN, ELSEWHERE, UNKNOWN]


def test_scenes_that_are_not_known_are_told_apart():
    catalog = make_catalog(frames=[20] * 3, tasks=[0, 1, 2], scenes=[0, -1, 1])
    assert relation(catalog, 1, 0) == relation(catalog, 0, 1) == ELSEWHERE
    assert [kind(catalog, 1, 0), kind(catalog, 0, 1), kind(catalog, 2, 0)] == [
        UNKNOWN_SCENE,
        UNKNOWN_SCENE,
        OTHER_SCENE,
    ]


def test_one_sentence_under_two_ids_is_wrong_for_neither():
    texts = ["open the drawer", "Open drawer", "close the drawers"]
    catalog = make_catalog(frames=[20] * 3, tasks=[0, 1, 2], texts=texts, scenes=[0, 1, 2])
    assert relation(catalog, 1, 0) == relation(catalog, 0, 1) == UNKNOWN
    assert relation(catalog, 2, 0) == ELSEWHERE


def test_two_annotations_of_one_file_fit_each_others_clips():
    catalog = make_catalog(frames=[20] * 3, tasks=[0, 1, 2], files=[7, 7, 8], scenes=[0, 1, 2])
    assert relation(catalog, 1, 0) == relation(catalog, 0, 1) == UNKNOWN
    assert relation(catalog, 2, 0) == ELSEWHERE


def test_records_that_contradict_each_other_for_one_sentence_are_not_used():
    texts = ["pull", "push", "push"]
    towards = {(0, 1): DOWN, (0, 2): UP}
    catalog = make_catalog(frames=[20] * 3, tasks=[0, 1, 2], texts=texts, scenes=[0, 0, 0], towards=towards)
    assert relation(catalog, 1, 0) == relation(catalog, 2, 0) == UNKNOWN
    agreed = make_catalog(
        frames=[20] * 3, tasks=[0, 1, 2], texts=texts, scenes=[0, 0, 0], towards={(0, 1): DOWN, (0, 2): DOWN}
    )
    assert [relation(agreed, 1, 0), relation(agreed, 2, 0)] == [0, 0], "either record says it"


def two_opposites(sources: int = 1) -> Catalog:
    """Opening and closing in one scene, something else in another, in each source."""
    tasks = [0, 0, 0, 1, 1, 1, 2, 2, 2] * sources
    towards = {(at, 1 - task): DOWN for at, task in enumerate(tasks) if task < 2}
    return make_catalog(
        frames=[20] * len(tasks),
        tasks=tasks,
        scenes=[task // 2 for task in tasks],
        sources=[at // 9 for at in range(len(tasks))],
        progress=[UP] * len(tasks),
        towards=towards,
    )


def drawn(catalog: Catalog, strategy: str, rows: int = 4000, **settings: object):
    kind = "preference" if strategy == "different_task" else "progress"
    ratio = [1, 0, 0] if kind == "preference" else [0, 1, 0]
    data = DataConfig(sample_type_ratio=ratio, **{f"{kind}_strategy_ratio": {strategy: 1}}, max_frames=8, **settings)
    return Sampler(catalog, data, total=rows, seed=3).draw(0, rows)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 0.5), (0.0, 0.0), (1.0, 1.0)])
def test_half_of_the_wrong_instructions_are_of_the_clips_scene(share, expected):
    catalog = two_opposites()
    block = drawn(catalog, "different_task_instruction", same_scene_share=share)
    asked = catalog.task_code[[catalog.text_code.tolist().index(text) for text in block.text]]
    opposite = asked < 2
    same = block.instruction == SAME_SCENE
    assert same[opposite].mean() == pytest.approx(expected, abs=0.03)
    assert set(block.instruction[~same].tolist()) <= {OTHER_SCENE}
    slot = block.slots[FIRST]
    last = slot.indices[np.arange(len(slot.count)), slot.count - 1]
    wanted = np.where(same, np.array(DOWN)[last], 0)
    assert slot.end_progress == pytest.approx(wanted, abs=1e-6)
    assert np.array_equal(block.answer, np.floor(100 * wanted.round(6) + 0.5))
    assert (catalog.task_code[slot.trajectory] == 1 - asked)[same].all()


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_a_wrong_text_comes_only_with_sources_where_it_is_right(probability):
    catalog = two_opposites(2)
    tasks = catalog.task_code.copy()
    tasks[[6, 7, 8]] = 0  # the third task is found in the second source alone
    catalog = make_catalog(
        frames=[20] * 18, tasks=tasks.tolist(), sources=catalog.source_code.tolist(), progress=[UP] * 18
    )
    block = drawn(catalog, "different_task_instruction", traj_same_source_prob=probability)
    source = catalog.source_code[block.slots[FIRST].trajectory]
    assert set(source[block.text == 2].tolist()) == {1}
    assert set(source[block.text != 2].tolist()) == {0, 1}


def test_wrong_texts_come_as_often_as_right_ones_and_with_the_same_clips():
    catalog = two_opposites()
    catalog.quality[:] = 2
    wrong = drawn(catalog, "different_task_instruction", rows=20_000)
    right = drawn(catalog, "forward_progress", rows=20_000)
    for column in (lambda block: block.text, lambda block: block.slots[FIRST].trajectory):
        one, other = (np.bincount(column(block), minlength=9) / 20_000 for block in (wrong, right))
        assert np.abs(one - other).max() < 0.02


def test_episodes_without_progress_serve_no_wrong_instruction():
    catalog = make_catalog(frames=[20] * 6, tasks=[0, 1] * 3, quality=[2, 2, 0, 0, -1, -1])
    block = drawn(catalog, "different_task_instruction")
    assert set(block.slots[FIRST].trajectory.tolist()) == {0, 1}


def test_episodes_without_progress_of_their_own_are_asked_nothing_of_their_scene():
    catalog = make_catalog(
        frames=[20] * 8, tasks=[0, 1] * 4, quality=[-1, -1, 2, 2, 0, 0, 2, 2], scenes=[0] * 8,
        towards={(at, 1 - at % 2): DOWN for at in range(8)},
    )  # fmt: skip
    block = drawn(catalog, "different_task_instruction")
    assert set(block.slots[FIRST].trajectory.tolist()) == {2, 3, 6, 7}
    assert set(block.instruction.tolist()) == {SAME_SCENE}


def test_pairs_of_two_tasks_are_decided_by_what_is_asked():
    catalog = two_opposites()
    block = drawn(catalog, "different_task")
    better = np.where(block.answer == 1, block.slots[FIRST].end_progress, block.slots[SECOND].end_progress)
    worse = np.where(block.answer == 1, block.slots[SECOND].end_progress, block.slots[FIRST].end_progress)
    assert (better - worse >= 0.2 - 1e-5).all()
    same = block.instruction == SAME_SCENE
    assert 0.25 < same.mean() < 0.6
    chosen = np.where(block.answer == 1, block.slots[FIRST].trajectory, block.slots[SECOND].trajectory)
    own_chosen = catalog.text_code[chosen] == block.text
    assert own_chosen[~same].all()
    assert 0.2 < own_chosen[same].mean() < 0.8, "either clip may be the one that stands further"


def test_pairs_of_two_tasks_show_whole_episodes_too():
    catalog = two_opposites()
    block = drawn(catalog, "different_task")
    whole = np.ones(len(block.text), bool)
    for slot in (block.slots[FIRST], block.slots[SECOND]):
        whole &= (slot.indices[:, 0] == 0) & (slot.indices[np.arange(len(slot.count)), slot.count - 1] == 19)
    same = block.instruction == SAME_SCENE
    assert 0.4 < whole[same].mean() < 0.6
    assert 0.4 < whole[~same].mean() < 0.6


def test_pairs_of_two_tasks_have_one_size():
    catalog = two_opposites()
    catalog.frames_shape[[0, 3, 6], 1] = 16
    block = drawn(catalog, "different_task")
    heights = [catalog.frames_shape[block.slots[slot].trajectory, 1] for slot in (FIRST, SECOND)]
    assert np.array_equal(*heights)
    assert set(heights[0].tolist()) == {8, 16}
