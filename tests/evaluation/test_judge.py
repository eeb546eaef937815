from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from rfm.evaluation.exam import Exam, _fault, columns_of
from rfm.evaluation.judge import make_sheets, unreadable_report

COLUMNS = {
    "sample_type": ["preference", "progress", "preference", "progress", "similarity"],
    "answer": ["1", "30", "2", "67", "1"],
    "data_gen_strategy": ["rewind", "forward_progress", "suboptimal", "forward_progress", "rewind"],
    "end_progress": [None, 0.304, None, 0.666, None],
    "trajectory_id": [None, "a", None, "a", None],
    "first_trajectory_id": ["b", None, "c", None, "b"],
}
ALL = np.ones(5, bool)


def exam(columns, *, discrete=False):
    rows = Dataset.from_dict(columns)
    config = {"config": {"data": {"discrete_progress": discrete}}}
    read = columns_of(rows)
    reasons = {row: _fault(read, row, discrete) for row in range(len(rows))}
    faults = {row: reason for row, reason in reasons.items() if reason}
    return Exam(rows, config, Path(), read, faults)


def sheets(columns=COLUMNS, readable=ALL, *, discrete=False):
    return {sheet.kind: sheet for sheet in make_sheets(exam(columns, discrete=discrete), readable)}


def test_rows_are_split_by_sample_type():
    assert {kind: sheet.rows.tolist() for kind, sheet in sheets().items()} == {
        "preference": [0, 2],
        "progress": [1, 3],
        "similarity": [4],
    }


def test_unreadable_rows_are_on_no_sheet():
    readable = np.array([True, False, False, False, True])
    assert {kind: sheet.rows.tolist() for kind, sheet in sheets(readable=readable).items()} == {
        "preference": [0],
        "similarity": [4],
    }


def test_the_truth_is_the_answer_and_for_progress_the_exact_one():
    made = sheets()
    assert made["preference"].truth.tolist() == [1, 2]
    assert made["progress"].truth.tolist() == pytest.approx([30.4, 66.6])


def test_without_recorded_progress_the_truth_is_the_answer():
    unknown = {**COLUMNS, "end_progress": [None] * 5}
    absent = {name: column for name, column in COLUMNS.items() if name != "end_progress"}
    assert sheets(unknown)["progress"].truth.tolist() == sheets(absent)["progress"].truth.tolist() == [30, 67]


def test_rows_of_one_trajectory_are_one_group():
    made = sheets()
    assert len(set(made["progress"].group)) == 1
    assert len(set(made["preference"].group)) == 2


def test_without_trajectory_ids_the_file_or_the_row_is_the_group():
    ids = ("trajectory_id", "first_trajectory_id")
    bare = {name: column for name, column in COLUMNS.items() if name not in ids}
    assert len(set(sheets(bare)["progress"].group)) == 2
    by_file = {**bare, "npz_path": [None, "a.npz", None, "a.npz", None]}
    assert len(set(sheets(by_file)["progress"].group)) == 1


def test_judging_counts_every_row_overall_and_by_strategy():
    sheet = sheets()["preference"]
    numbers = sheet.judge(sheet.parse(["ANS: 1", "no idea"]))
    assert (numbers["count"], numbers["accuracy"], numbers["unparsed"]) == (2, 0.5, 1)
    assert {name: part["accuracy"] for name, part in numbers["by_strategy"].items()} == {"rewind": 1, "suboptimal": 0}


def test_the_best_constant_is_judged_on_the_same_rows():
    best = sheets()["progress"].best_constant()
    assert best["answer"] == pytest.approx(48.5)
    assert best["mae"] == pytest.approx(18.1)
    assert sheets()["preference"].best_constant()["accuracy"] == 0.5


def test_levels_are_put_on_the_scale_of_0_to_100():
    columns = {
        "sample_type": ["progress"] * 7,
        "answer": ["1", "2", "3", "4", "5", "5", "1"],
        "end_progress": [0.0, 0.26, None, 0.75, 1.0, 1.0, 0.0],
    }
    sheet = sheets(columns, np.ones(7, bool), discrete=True)["progress"]
    assert sheet.truth.tolist() == pytest.approx([0, 26, 50, 75, 100, 100, 0])
    said = sheet.parse(["ANS: 1", "ANS: 2", "ANS: 3", "ANS: 4", "ANS: 5", "ANS: 6", "ANS: 0"])
    assert said[:5].tolist() == [0, 25, 50, 75, 100]
    assert np.isnan(said[5:]).all()
    assert sheet.judge(said)["mae"] == pytest.approx((1 + 200) / 7)
    assert sheet.judge(said)["unparsed"] == 2
    assert list(sheet.judge(said)["by_strategy"]) == ["unknown"]


@pytest.mark.parametrize("answer", [None, "", "half", "nan", "inf", "101", "-1", "3_0", "0x1e", " 30", "30.5", "٣٠"])
def test_a_row_whose_answer_is_none_is_counted_and_the_others_are_judged(answer):
    broken = {**COLUMNS, "answer": ["1", "30", "2", answer, "1"]}
    made = exam(broken)
    assert made.faults == {3: f"`answer` must be a whole number from 0 to 100 for progress, but is {answer!r} (row 3)"}
    assert sheets(broken)["progress"].rows.tolist() == [1]
    assert made.asked.tolist() == [0, 1, 2, 4]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"end_progress": [None, float("nan"), None, 0.5, None]},
            "`end_progress` must be null or in [0, 1], but is nan",
        ),
        ({"end_progress": [None, 1.5, None, 0.5, None]}, "`end_progress` must be null or in [0, 1], but is 1.5"),
        ({"target_progress": [None, [0.1, float("nan")], None, [0.5], None]}, "`target_progress` must hold numbers or"),
        (
            {"sample_type": ["preference", "ranking", *["progress"] * 3]},
            "`sample_type` must be one of preference, progr",
        ),
        (
            {"answer": ["1", "1000", "2", "3", "1"]},
            "`answer` must be a whole number from 0 to 100 for progress, but is '1000'",
        ),
    ],
)
def test_rows_that_cannot_be_judged_say_why(changes, fault):
    made = exam({**COLUMNS, **changes})
    assert list(made.faults) == [1]
    assert made.faults[1].startswith(fault)


def test_an_answer_to_a_pair_is_1_or_2():
    assert list(exam({**COLUMNS, "answer": ["0", "30", "3", "67", "1"]}).faults) == [0, 2]


def test_lengths_by_number_or_in_doubling_ranges():
    few = {**COLUMNS, "frame_indices": [None, [1, 2], None, [1, 2, 3], None]}
    assert sheets(few)["progress"].names["clip_length"].tolist() == ["02", "03"]
    many = {
        "sample_type": ["progress"] * 12,
        "answer": ["1"] * 12,
        "frame_indices": [list(range(count)) for count in range(1, 13)],
    }
    lengths = sheets(many, np.ones(12, bool))["progress"].names["clip_length"].tolist()
    assert lengths == ["01", "02", "03-04", "03-04", *["05-08"] * 4, *["09-16"] * 4]


def test_pairs_carry_the_better_label_first():
    columns = {
        "sample_type": ["preference"] * 3,
        "answer": ["1", "2", "2"],
        "first_quality_label": ["successful", "failure", None],
        "second_quality_label": ["failure", "suboptimal", "failure"],
    }
    quality = sheets(columns, np.ones(3, bool))["preference"].quality.tolist()
    assert quality == ["successful > failure", "suboptimal > failure", "failure > "]


def test_unreadable_rows_are_counted_by_reason_with_an_example():
    gone = "frames file /data/set/frames/trajectory_{}.npz must exist, but does not"
    outside = "`frame_indices[{}]` must be < 16 (frames in /data/b.npz), but is 57"
    reasons = [gone.format(number) for number in range(30)] + [outside.format(3)]
    assert unreadable_report(reasons) == {
        "count": 31,
        "reasons": {
            "frames file … must exist, but does not": 30,
            "`frame_indices[…]` must be < … (frames in …), but is …": 1,
        },
        "examples": {
            "frames file … must exist, but does not": gone.format(0),
            "`frame_indices[…]` must be < … (frames in …), but is …": outside.format(3),
        },
    }


def test_nothing_unreadable():
    assert unreadable_report([]) == {"count": 0, "reasons": {}, "examples": {}}
