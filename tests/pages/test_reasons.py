"""Why an answer is what it is: the words follow the row's record, and say so where it speaks for another answer."""

from __future__ import annotations

import pytest
from datasets import load_from_disk

from rfm.audit.rules.contract import Settings
from rfm.pages.browsing.reasons import OUTCOME, RECORDED, TIME, Shown, reason, way

PLAIN = Settings()
SCORE = {"sample_type": "progress", "end_progress": 0.58, "frame_indices": [0, 9, 18], "instruction_kind": "own"}
PAIR = {"sample_type": "preference", "first_npz_path": "a", "second_npz_path": "a", "first_end_progress": 0.3,
        "second_end_progress": 0.7, "data_gen_strategy": "rewind", "instruction_kind": "own"}  # fmt: skip


def test_scores_by_where_their_progress_comes_from():
    row = {**SCORE, "answer": "58"}
    assert reason(row, {"": Shown(32, RECORDED)}, PLAIN) == (
        "The trajectory records its progress, which is 0.580 at the last shown frame, 18: 58 of 100. "
        "The clip runs forwards."
    )
    assert "time counts: the last shown frame is number 19 of 32" in reason(row, {"": Shown(32, TIME)}, PLAIN)
    assert "whose outcome alone is known, 0.580" in reason(row, {"": Shown(19, OUTCOME)}, PLAIN)
    assert reason(row, {}, PLAIN).startswith("By the row's own record the clip ends, with frame 18, at")
    assert "3 on the scale from 1 to 5" in reason({**SCORE, "answer": "3"}, {}, Settings(discrete_progress=True))
    assert "60 of 100, in steps of 10" in reason({**SCORE, "answer": "60"}, {}, Settings(progress_step=10))


def test_scores_on_other_instructions():
    other = {**SCORE, "answer": "0", "end_progress": 0.0}
    assert "task of another scene, so nothing of it is done here: 0" in reason(
        {**other, "instruction_kind": "other_scene"}, {}, PLAIN
    )
    assert "is taken to be done here: 0" in reason({**other, "instruction_kind": "unknown_scene"}, {}, PLAIN)
    assert "at its last shown frame, 18, that is 0.580: 58" in reason(
        {**SCORE, "answer": "58", "instruction_kind": "same_scene"}, {}, PLAIN
    )


def test_a_row_that_contradicts_its_record_is_not_explained_away():
    assert reason({**SCORE, "answer": "90"}, {}, PLAIN).endswith(
        "That asks for 58, but the answer is 90: the row contradicts itself."
    )
    assert reason({**PAIR, "answer": "1"}, {}, PLAIN).endswith(
        "Video 1 ends at a progress of 0.300 and Video 2 at 0.700, but Video 1 is the answer: the row contradicts its "
        "record."
    )
    quality = {**PAIR, "data_gen_strategy": "suboptimal", "second_npz_path": "b", "answer": "2"}
    labels = {"first_quality_label": "successful", "second_quality_label": "failure"}
    assert "but Video 2 is the answer: the row contradicts its labels" in reason({**quality, **labels}, {}, PLAIN)


def test_what_is_not_recorded_is_not_known():
    assert "is not known" in reason({**SCORE, "answer": "5", "end_progress": None}, {}, PLAIN)
    assert "is not known" in reason({**PAIR, "answer": "2", "first_end_progress": None}, {}, PLAIN)
    assert "'two', is no whole number" in reason({**PAIR, "answer": "two"}, {}, PLAIN)
    assert "Nothing is known of what 7 means for a question of type 'riddle'" in reason(
        {"sample_type": "riddle", "answer": "7"}, {}, PLAIN
    )


def test_similarity_goes_by_task_and_then_by_the_end():
    row = {"sample_type": "similarity", "answer": "1", "reference_end_progress": 1.0, "first_end_progress": 0.9,
           "second_end_progress": 0.2}  # fmt: skip
    tasks = {"reference_": Shown(task="open"), "first_": Shown(task="open"), "second_": Shown(task="close")}
    assert reason(row, tasks, PLAIN) == "Video 1 is of the reference's task and Video 2 is of another."
    assert "Video 1 is 0.100 away from that and Video 2 0.800" in reason(row, {}, PLAIN)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([5], "as one frame"),
        ([3, 3], "standing still at frame 3"),
        ([0, 4, 9], "forwards"),
        ([9, 4, 4], "backwards, then standing still at frame 4"),
        ([0, 4, 2], "forwards to frame 4, then back"),
        ([0, 4, 2, 6], "to and fro"),
    ],
)
def test_how_a_clip_runs(frames, words):
    assert way(frames) == words


def test_every_drawn_row_has_a_reason_that_agrees_with_its_answer(questions):
    """Whatever strategy drew a row: what the page says must never speak for the other answer."""
    for row in load_from_disk(str(questions)).to_list():
        words = reason(row, {}, PLAIN)
        assert not any(bad in words for bad in ("contradict", "not known")), (row, words)
