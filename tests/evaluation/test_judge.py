import numpy as np
import pytest

from rfm.errors import DataError
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


def sheets(columns=COLUMNS, readable=ALL, *, discrete=False):
    return {sheet.kind: sheet for sheet in make_sheets(columns, readable, discrete=discrete)}


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


@pytest.mark.parametrize("answer", [None, "", "half"])
def test_a_dataset_with_an_answer_that_is_no_number_is_refused(answer):
    broken = {**COLUMNS, "answer": ["1", "30", "2", answer, "1"]}
    with pytest.raises(DataError) as caught:
        sheets(broken)
    assert str(caught.value).startswith(f"`answer` must be a number in every row, but is {answer!r} in row 3; gener")


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
