"""What is wrong with a dataset as a whole: shortcuts, repeats, shares, answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audit.audits import ONE_ANSWER, ROWS, draw, look, root_of
from audit.faulty import Row, edit_config, flipped, is_pair, rejected, rewrite, shown

pytestmark = pytest.mark.usefixtures("quick")


def direction_tells(rows: list[Row]) -> list[Row]:
    """Only pairs whose rejected clip is the one that turns back, as the original recipe drew them."""

    def turns(frames: list[int]) -> bool:
        return min(np.diff(frames)) < 0

    return [
        row
        for row in rows
        if turns(row[f"{rejected(row)}frame_indices"])
        and not turns(row[f"{'first_' if rejected(row) == 'second_' else 'second_'}frame_indices"])
    ]


@pytest.fixture(scope="module")
def rewinds(world, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rewinds") / "vqa"
    return draw(world, path, "data.sample_type_ratio=[1,0,0]", "data.preference_strategy_ratio={rewind:1}", rows=3000)


def test_a_direction_that_tells_the_answer_is_found(rewinds, tmp_path):
    assert look(rewinds, max_duplicates=1).failed == []
    path = rewrite(rewinds, tmp_path / "vqa", direction_tells, config=False)
    found = look(path, datasets_root=str(root_of(rewinds)), max_duplicates=1)
    assert found.failed == ["preference told blindly"]
    assert found.checks["preference told blindly"]["measured"] > 0.95
    assert found.broken == {}


@pytest.fixture(scope="module")
def two_tasks(world, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("two_tasks") / "vqa"
    return draw(world, path, "data.sample_type_ratio=[1,0,0]", "data.preference_strategy_ratio={different_task:1}")


def rejected_from_elsewhere(rows: list[Row]) -> list[Row]:
    """The same episodes' likes from another source, but only on the rejected side."""

    def corrupt(row: Row) -> Row:
        prefix = rejected(row)
        change = {
            name: row[name].replace("toy_train", "toy_other")
            for name in (f"{prefix}npz_path", f"{prefix}trajectory_id")
        }
        return row | change

    return [corrupt(row) for row in rows]


def smaller_where_rejected(rows: list[Row]) -> list[Row]:
    return [
        row | {f"{rejected(row)}frames_shape": [len(row[f"{rejected(row)}frame_indices"]), 24, 24, 3]} for row in rows
    ]


@pytest.mark.parametrize(
    ("fault", "also"),
    [(rejected_from_elsewhere, []), (smaller_where_rejected, ["contradictions"])],
    ids=["source", "size"],
)
def test_a_source_or_size_that_tells_the_answer_is_found(two_tasks, tmp_path, fault, also):
    assert look(two_tasks, max_duplicates=1).failed == []
    found = look(rewrite(two_tasks, tmp_path / "vqa", fault), max_duplicates=1)
    assert found.failed == [*also, "preference told blindly"]
    assert found.checks["preference told blindly"]["measured"] > 0.95
    sizes = {"frames_shape is that of the shown frames", "compared clips are of one size"}
    assert set(found.broken) == (sizes if also else set())


def test_words_that_tell_the_answer_are_found(two_tasks, tmp_path):
    def hint(rows: list[Row]) -> list[Row]:
        return [row | {"prompt": f"{('Well', 'Now')[row['answer'] == '1']}. {row['prompt']}"} for row in rows]

    found = look(rewrite(two_tasks, tmp_path / "vqa", hint), max_duplicates=1)
    assert found.failed == ["preference told blindly"]


def test_progress_that_the_number_of_frames_tells_is_found(clean, tmp_path):
    def longer_when_further(rows: list[Row]) -> list[Row]:
        def corrupt(row: Row) -> Row:
            return shown(row, "", [row["frame_indices"][0]] * (1 + int(row["answer"]) // 10) + row["frame_indices"])

        return [row if is_pair(row) else corrupt(row) for row in rows]

    found = look(rewrite(clean, tmp_path / "vqa", longer_when_further, drop=("target_progress",)))
    assert found.failed == ["progress told blindly"]
    assert found.checks["progress told blindly"]["measured"] < 0.3
    assert found.broken == {}


def test_repeated_rows_are_found(clean, tmp_path):
    path = rewrite(clean, tmp_path / "vqa", lambda rows: rows + rows[:240])
    found = look(edit_config(path, config={}, counts={}))
    assert found.failed == ["duplicate rows"]
    assert found.checks["duplicate rows"]["measured"] >= 240 / (ROWS + 240)


def test_one_question_with_two_answers_is_found(clean, tmp_path):
    def both(rows: list[Row]) -> list[Row]:
        return rows + [flipped(row) for row in rows if is_pair(row)][:20]

    path = edit_config(rewrite(clean, tmp_path / "vqa", both), config={}, counts={}, datasets_root=None)
    found = look(path)
    assert found.broken == {ONE_ANSWER: 20}, "seen without any trajectory"


def test_one_answer_more_often_than_the_other_is_found(clean, tmp_path):
    def mostly_first(rows: list[Row]) -> list[Row]:
        return [row for row in rows if not is_pair(row) or row["answer"] == "1"]

    path = edit_config(rewrite(clean, tmp_path / "vqa", mostly_first), config={}, counts={})
    assert "preference imbalance" in look(path).failed


def test_shares_that_are_not_those_asked_for_are_found(clean, tmp_path):
    path = rewrite(clean, tmp_path / "vqa", lambda rows: rows[:-7])
    found = look(path)
    assert found.failed == ["rows off the ratios"]
    assert 1 <= found.checks["rows off the ratios"]["measured"] <= 7
    assert look(path, max_ratio_error=7).failed == []


def test_scores_that_leave_a_tenth_of_the_scale_empty_are_found(clean, tmp_path):
    def low_scores(rows: list[Row]) -> list[Row]:
        return [row for row in rows if is_pair(row) or int(row["answer"]) <= 80]

    path = edit_config(rewrite(clean, tmp_path / "vqa", low_scores), config={}, counts={})
    found = look(path)
    assert "least used tenth of scores" in found.failed
    assert found.checks["least used tenth of scores"]["measured"] == 0
