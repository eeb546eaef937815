"""The original recipe's wrong labels, one by one: each is found by its rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit.audits import BETTER, MORE_PROGRESS, OF_THE_CHOSEN, ONE_ANSWER, draw, look
from audit.faulty import Row, coin_flips, flipped, is_pair, rewrite, shown
from datasets import load_from_disk

from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import read_columns, write_processed_dataset

FIELDS = (
    "id", "task", "task_id", "data_source", "frames", "frames_shape", "num_frames", "quality_label", "partial_success",
    "progress",
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("quick")


def true_instruction_put_back(rows: list[Row]) -> list[Row]:
    own = {row["npz_path"]: row for row in rows if row["data_gen_strategy"] == "forward_progress"}
    wrong = [row["data_gen_strategy"] == "different_task_instruction" and row["npz_path"] in own for row in rows]
    return [
        row | {name: own[row["npz_path"]][name] for name in ("task", "prompt")} if bad else row
        for row, bad in zip(rows, wrong, strict=True)
    ]


def another_tasks_text(rows: list[Row]) -> list[Row]:
    other = {"move the square right": "move the square down", "move the square down": "move the square right"}
    return [
        row | {"task": other[row["task"]], "prompt": row["prompt"].replace(row["task"], other[row["task"]])}
        if is_pair(row) and row["first_npz_path"] == row["second_npz_path"]
        else row
        for row in rows
    ]


def another_frame(rows: list[Row]) -> list[Row]:
    return [
        shown(row, "first_", [*row["first_frame_indices"], row["first_frame_indices"][-1]])
        if is_pair(row) and at % 3 == 0
        else row
        for at, row in enumerate(rows)
    ]


def a_frame_twice(rows: list[Row]) -> list[Row]:
    def corrupt(row: Row) -> Row:
        frames = row["second_frame_indices"]
        return shown(row, "second_", [*frames[:1], *frames[:1], *frames[2:]])

    def straight(row: Row) -> bool:
        frames = row["second_frame_indices"]
        return frames == sorted(set(frames))

    return [corrupt(row) if is_pair(row) and straight(row) else row for row in rows]


def shape_of_the_whole(rows: list[Row]) -> list[Row]:
    return [row if is_pair(row) else row | {"frames_shape": [32, 32, 32, 3]} for row in rows]


def stops_early(rows: list[Row]) -> list[Row]:
    def corrupt(row: Row) -> Row:
        for prefix in ("first_", "second_"):
            row = shown(row, prefix, [frame - 1 for frame in row[f"{prefix}frame_indices"]])
        return row

    early = [row["data_gen_strategy"] == "suboptimal" and row["first_frame_indices"][0] > 0 for row in rows]
    return [corrupt(row) if bad else row for row, bad in zip(rows, early, strict=True)]


def other_start(rows: list[Row]) -> list[Row]:
    def corrupt(row: Row) -> Row:
        frames = row["first_frame_indices"]
        return shown(row, "first_", [frames[0] + 1, *frames[1:]])

    able = [
        row["data_gen_strategy"] == "rewind"
        and is_pair(row)
        and row["first_frame_indices"][1] > row["first_frame_indices"][0] + 1
        for row in rows
    ]
    return [corrupt(row) if bad else row for row, bad in zip(rows, able, strict=True)]


def time_as_answer(rows: list[Row]) -> list[Row]:
    def corrupt(row: Row) -> Row:
        return row | {"answer": str(int(100 * (row["frame_indices"][-1] + 1) / 32 + 0.5))}

    return [
        corrupt(row) if row["data_gen_strategy"] in ("forward_progress", "rewind") and not is_pair(row) else row
        for row in rows
    ]


def wrong_instruction_scored(rows: list[Row]) -> list[Row]:
    return [row | {"answer": "40"} if row["data_gen_strategy"] == "different_task_instruction" else row for row in rows]


def wrong_instruction_backwards(rows: list[Row]) -> list[Row]:
    return [
        shown(row, "", row["frame_indices"][::-1]) if row["data_gen_strategy"] == "different_task_instruction" else row
        for row in rows
    ]


def coin_and_column_apart(rows: list[Row]) -> list[Row]:
    return [row | {"chosen_is_first": not row["chosen_is_first"]} if is_pair(row) else row for row in rows]


def words_for_numbers(rows: list[Row]) -> list[Row]:
    return [row | {"answer": "one"} if is_pair(row) and at % 50 == 0 else row for at, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        (coin_flips, {MORE_PROGRESS, BETTER}),
        (another_tasks_text, {OF_THE_CHOSEN}),
        (true_instruction_put_back, {"a right instruction is not answered 0"}),
        (another_frame, {"equally many shown frames"}),
        (a_frame_twice, {"equally many distinct frames"}),
        (shape_of_the_whole, {"frames_shape is that of the shown frames"}),
        (other_start, {"clips of one episode start together"}),
        (time_as_answer, {"the answer is the progress at the end"}),
        (wrong_instruction_scored, {"a wrong instruction of another scene is answered 0"}),
        (wrong_instruction_backwards, {"a wrong instruction is shown forwards"}),
        (coin_and_column_apart, {"chosen_is_first is the answer"}),
        (words_for_numbers, {"a pair's answer is 1 or 2"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_label_is_found_by_its_rule(clean, tmp_path, fault, rules):
    drop = ("target_progress", "end_progress", "instruction_kind")  # they would contradict the changed answers too
    found = look(rewrite(clean, tmp_path / "vqa", fault, drop=drop))
    assert set(found.broken) - {ONE_ANSWER} == rules
    assert found.status == 1
    blind = {f"{kind} told blindly" for kind in ("preference", "progress")} | {"least used tenth of scores"}
    assert set(found.failed) - blind == {"contradictions"}
    assert all(rule in found.checks["contradictions"]["note"] for rule in rules)


def test_episodes_compared_by_their_labels_are_shown_to_their_ends(own_world, tmp_path):
    """Without a recorded progress: with it the ends decide, wherever they lie."""
    root, _ = own_world
    rows = [row | {"progress": None} for row in read_columns(root / "toy_train", FIELDS).to_pylist()]
    lists = [{name: tuple(one) if isinstance(one, list) else one for name, one in row.items()} for row in rows]
    write_processed_dataset(root / "toy_train", [Trajectory(**row) for row in lists])
    only = "data.sample_type_ratio=[1,0,0]", "data.preference_strategy_ratio={suboptimal: 1, same_task_progress: 1}"
    drawn = draw(root, tmp_path / "unscored", *only, rows=400)
    assert not look(drawn).broken
    found = look(rewrite(drawn, tmp_path / "early", stops_early))
    assert set(found.broken) - {ONE_ANSWER} == {"compared episodes are shown to their ends"}


def flipped_stages(rows: list[Row]) -> list[Row]:
    return [flipped(row) if row["data_gen_strategy"] == "same_task_progress" else row for row in rows]


def test_of_two_episodes_before_their_ends_the_progress_decides(clean, tmp_path):
    found = look(rewrite(clean, tmp_path / "vqa", flipped_stages))
    assert MORE_PROGRESS in found.broken


def itself_as_reference(rows: list[Row]) -> list[Row]:
    names = ("npz_path", "frame_indices", "frames_shape", "trajectory_id")
    return [
        row | {f"reference_{name}": row[f"first_{name}"] for name in names} if at % 9 == 0 else row
        for at, row in enumerate(rows)
    ]


def no_reference(rows: list[Row]) -> list[Row]:
    return [row | {"reference_npz_path": None} if at % 9 == 0 else row for at, row in enumerate(rows)]


def reference_of_another_task(rows: list[Row]) -> list[Row]:
    names = ("npz_path", "frame_indices", "frames_shape", "trajectory_id")
    other = {row["task"]: row for row in rows}
    assert len(other) == 2
    return [
        row | {f"reference_{name}": other[task][f"reference_{name}"] for name in names}
        for row in rows
        for task in other
        if task != row["task"]
    ]


@pytest.fixture(scope="module")
def similar(world, tmp_path_factory) -> Path:
    return draw(world, tmp_path_factory.mktemp("similar") / "vqa", "data.sample_type_ratio=[0,0,1]", rows=600)


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        (list, set()),
        (coin_flips, {MORE_PROGRESS, BETTER}),
        (itself_as_reference, {"the reference is another episode"}),
        (no_reference, {"a similarity question has a reference"}),
        (reference_of_another_task, {"the nearer clip has the reference's task"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_similarity_questions_have_rules_of_their_own(similar, tmp_path, fault, rules):
    found = look(rewrite(similar, tmp_path / "vqa", fault, drop=("chosen_is_first",)))
    assert set(found.broken) - {ONE_ANSWER} == rules


def test_an_instruction_that_the_preference_group_has_a_score_for(own_world):
    """Every two episodes become one video under two instructions, after the questions were drawn."""
    root, path = own_world
    rule = "a wrong instruction has no score of its own in the preference group"
    assert rule not in look(path).broken
    saved = root / "toy_train"
    rows = [
        row | {"preference_group_id": f"g{at // 2}"} for at, row in enumerate(read_columns(saved, FIELDS).to_pylist())
    ]
    lists = [{name: tuple(one) if isinstance(one, list) else one for name, one in row.items()} for row in rows]
    write_processed_dataset(saved, [Trajectory(**row) for row in lists])
    found = look(path)
    wrong = [row["data_gen_strategy"].startswith("different_task") for row in load_from_disk(str(path))]
    assert found.broken[rule] == sum(wrong)
    assert "contradictions" in found.failed
