from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from catalogs import make_catalog
from datasets import Dataset, load_from_disk
from hypothesis import given
from hypothesis import strategies as st
from worlds import make_world

from rfm.errors import DataError
from rfm.evaluation.exam import Exam, columns_of, open_exam
from rfm.evaluation.known_tasks import known_tasks
from rfm.evaluation.options import CONTROLS as NAMES
from rfm.evaluation.rivals.controls import CONTROLS, another_order, controlled, usable_controls
from rfm.generation.generate import GenerateOptions, generate


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    root = make_world(tmp_path_factory.mktemp("world"), "toy_train", tasks=3)
    overrides = (
        f"data.datasets_root={root}",
        "data.train_datasets=[toy_train]",
        "data.max_frames=4",
        "data.sample_type_ratio=[0.5,0.3,0.2]",
        "data.similarity_strategy_ratio=[1,1,0]",
    )
    path = tmp_path_factory.mktemp("vqa") / "rows"
    return open_exam(str(generate(GenerateOptions(output_path=str(path), num_samples=40, config_overrides=overrides))))


def under(exam, name, seed=0):
    return controlled(exam, name, range(len(exam)), seed).rows


def indices(row):
    names = ("", "first_", "second_", "reference_")
    return [row[f"{name}frame_indices"] for name in names if row[f"{name}frame_indices"] is not None]


def test_the_names_are_those_of_the_options():
    assert (*CONTROLS, "floor") == NAMES


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_a_control_is_a_function_of_row_and_seed(exam, name):
    assert under(exam, name) == under(exam, name)
    assert controlled(exam, name, [7, 3]).rows == [under(exam, name)[7], under(exam, name)[3]]


def test_another_seed_another_order(exam):
    assert under(exam, "shuffled") != under(exam, "shuffled", seed=1)


@pytest.mark.parametrize("name", ["first_frame", "last_frame", "shuffled", "reversed", "frozen_tail"])
def test_these_change_frames_alone_and_keep_their_number(exam, name):
    for before, after in zip(exam.dataset, under(exam, name), strict=True):
        changed = {column for column in before if before[column] != after[column]}
        assert all(column.endswith("frame_indices") for column in changed)
        assert [len(clip) for clip in indices(before)] == [len(clip) for clip in indices(after)]


def test_what_becomes_of_the_frames(exam):
    for before, first, last, shuffled, back, frozen in zip(
        exam.dataset,
        *(under(exam, name) for name in ("first_frame", "last_frame", "shuffled", "reversed", "frozen_tail")),
        strict=True,
    ):
        shown = map(indices, (before, first, last, shuffled, back, frozen))
        for clip, begun, one, mixed, turned, held in zip(*shown, strict=True):
            assert begun == [clip[0]] * len(clip)
            assert one == [clip[-1]] * len(clip)
            assert sorted(mixed) == sorted(clip)
            assert turned == clip[::-1]
            middle = (len(clip) - 1) // 2
            assert held == clip[: middle + 1] + [clip[middle]] * (len(clip) - middle - 1)


@given(st.integers(2, 9), st.integers(0, 99))
def test_frames_never_stay_in_their_order(count, seed):
    order = another_order(count, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(count))
    assert order.tolist() != list(range(count))


def test_swapped_turns_clips_and_answer_round_and_twice_is_nothing(exam):
    swap = CONTROLS["swapped"]
    rng = np.random.default_rng(0)
    for before in exam.dataset:
        if before["sample_type"] == "progress":
            continue
        after = swap(exam, before, rng)
        assert (after["first_npz_path"], after["second_npz_path"]) == (
            before["second_npz_path"],
            before["first_npz_path"],
        )
        assert after["first_quality_label"] == before["second_quality_label"]
        assert int(after["answer"]) == 3 - int(before["answer"])
        assert after["reference_frame_indices"] == before["reference_frame_indices"]
        assert swap(exam, after, rng) == before


def test_the_other_instruction_is_that_of_neither_the_question_nor_the_video(exam):
    for before, after in zip(exam.dataset, under(exam, "other_instruction"), strict=True):
        assert exam.tasks.name(after["task"]) != exam.tasks.name(before["task"])
        paths = [path for name in ("", "first_", "second_") if (path := before[f"{name}npz_path"])]
        shown = frozenset().union(*(exam.tasks.of_path[path] for path in paths))
        if before["data_gen_strategy"] != "different_task":  # shows two tasks, and there are three
            assert exam.tasks.name(after["task"]) not in shown
        assert after["prompt"] == before["prompt"].replace(before["task"], after["task"])
        assert indices(after) == indices(before)


def test_rows_that_a_control_leaves_as_they_were_are_counted():
    rows = [
        {"sample_type": "progress", "prompt": "p", "answer": "1", "npz_path": "a.npz", "frame_indices": clip}
        for clip in ([0, 1, 2], [1, 1, 1], [0])
    ]
    dataset = Dataset.from_list(rows)
    exam = Exam(dataset, {}, Path(), columns_of(dataset), {})
    unchanged = {
        name: controlled(exam, name, range(3)).unchanged for name in ("blank", "shuffled", "reversed", "last_frame")
    }
    assert unchanged == {"blank": 0, "shuffled": 2, "reversed": 2, "last_frame": 2}


def test_one_task_alone_has_no_other_instruction(tmp_path):
    rows = [{"sample_type": "progress", "prompt": "do: push", "answer": "1", "task": "push", "npz_path": "a"}]
    dataset = Dataset.from_list(rows)
    exam = Exam(dataset, {}, tmp_path, columns_of(dataset), {})
    with pytest.raises(
        DataError, match=r"needs another task in the dataset, but no row can be asked one: .* leave that"
    ):
        usable_controls(exam, ["other_instruction"], named=True)
    other = Exam(Dataset.from_list([{**rows[0], "prompt": "?"}]), {}, tmp_path, columns_of(dataset), {})
    with pytest.raises(
        DataError, match="`task` must stand in `prompt` for the control other_instruction, but is 'push'"
    ):
        under(other, "other_instruction")


def test_an_instruction_of_its_preference_group_is_no_other_one(tmp_path):
    """Videos 0 and 1 are known under tasks 0 and 1, video 2 under task 2 alone, video 3 under all three."""
    tasks, groups = [0, 1, 1, 0, 2, 0, 1, 2], [0, 0, 1, 1, -1, 2, 2, 2]
    videos = [0, 0, 1, 1, 2, 3, 3, 3]
    catalog = replace(
        make_catalog(frames=[4] * 8, tasks=tasks, groups=groups), frames_path=pa.array([f"{at}.npz" for at in videos])
    )
    rows = [
        {"sample_type": "progress", "prompt": f"Task: do task {task}", "answer": "1", "task": f"do task {task}"}
        | {"npz_path": f"{video}.npz", "frame_indices": [0, 1]}
        for video, task in zip([0, 1, 2, 3] * 5, [0, 1, 2, 2] * 5, strict=True)
    ]
    rows = [{**row, "prompt": f"{number}. {row['prompt']}"} for number, row in enumerate(rows)]  # each draws for itself
    dataset = Dataset.from_list(rows)
    exam = Exam(dataset, {}, tmp_path, columns_of(dataset), {}, known_tasks(catalog))
    asked = controlled(exam, "other_instruction", range(20))
    shown = {video: {row["task"] for row in asked.rows if row["npz_path"] == f"{video}.npz"} for video in range(4)}
    assert shown == {0: {"do task 2"}, 1: {"do task 2"}, 2: {"do task 0", "do task 1"}, 3: {"do task 2"}}
    assert asked.unchanged == 5, "those of the video that is known under every task"
    assert usable_controls(exam, ["other_instruction"], named=True) == (("other_instruction",), {})


def test_the_dataset_on_disk_is_left_alone(exam):
    path = Path(exam.dataset.cache_files[0]["filename"]).parent
    before = list(load_from_disk(str(path)))
    under(exam, "shuffled")
    assert list(load_from_disk(str(path))) == before


def test_all_controls_go_on_without_one_that_rows_of_one_task_cannot_have(tmp_path):
    root = make_world(tmp_path / "world", "toy_train", tasks=1)
    overrides = (f"data.datasets_root={root}", "data.train_datasets=[toy_train]", "data.max_frames=4")
    path = generate(GenerateOptions(output_path=str(tmp_path / "rows"), num_samples=8, config_overrides=overrides))
    exam = open_exam(str(path))
    usable, left_out = usable_controls(exam, NAMES, named=False)
    assert usable == tuple(name for name in NAMES if name != "other_instruction")
    assert left_out["other_instruction"].startswith(
        "the control other_instruction needs another task in the dataset, but no row can be asked one"
    )
    with pytest.raises(DataError, match="leave that control out"):
        usable_controls(exam, ("blank", "other_instruction"), named=True)
    assert usable_controls(exam, ("blank",), named=True) == (("blank",), {})
