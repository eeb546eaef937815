import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from rfm.audit.reading.questions import read_questions
from rfm.errors import DataError

ROWS = {
    "sample_type": ["preference", "progress", "progress"],
    "prompt": ["Which? Task: push", "How far?\n\nTask: open it", "How far?"],
    "answer": ["2", "40", "forty"],
}


def questions(**columns):
    return read_questions(Dataset.from_dict({**ROWS, **columns}))


def test_the_least_that_a_dataset_has_is_enough():
    read = questions()
    assert len(read) == read.total == 3
    assert read.is_pair.tolist() == [True, False, False]
    assert read.is_score.tolist() == [False, True, True]
    assert np.array_equal(read.answer, [2, 40, np.nan], equal_nan=True)
    assert {name: rows.tolist() for name, rows in read.strategies("progress").items()} == {"": [False, True, True]}
    assert not any(clip.present.any() for clip in read.clips.values())
    assert read.paths == ()
    assert "npz_path" in read.lacking


def test_the_instruction_is_the_column_or_else_what_the_prompt_says():
    read = questions()
    assert read.task.distinct == ("push", "open it")
    assert read.task.code.tolist() == [0, 1, -1]
    assert questions(task=["a", None, "b"]).task.code.tolist() == [0, -1, 1]


def test_clips_share_one_list_of_paths():
    read = questions(
        first_npz_path=["a.npz", None, None],
        second_npz_path=["b.npz", None, None],
        npz_path=[None, "a.npz", "c.npz"],
        frame_indices=[None, [3, 1], []],
        first_frame_indices=[[0, 5], None, None],
    )
    path = {name: [read.paths[code] if code >= 0 else None for code in clip.path] for name, clip in read.clips.items()}
    assert path["first_"] == ["a.npz", None, None]
    assert path[""] == [None, "a.npz", "c.npz"]
    assert read.clips[""].present.tolist() == [False, True, False]
    assert read.clips["second_"].present.tolist() == [False, False, False]
    assert read.clips[""].frames.at(-1).tolist() == [-1, 1, -1]


def test_numbers_may_be_answers_and_columns_null_throughout():
    read = questions(answer=[1, 50, 0], target_progress=[None] * 3, chosen_is_first=[True, None, None])
    assert read.answer.tolist() == [1, 50, 0]
    assert read.targets is None
    assert read.chosen_is_first.tolist() == [1, -1, -1]


def test_a_sample_keeps_the_rows_order_and_numbers():
    dataset = Dataset.from_dict({name: values * 50 for name, values in ROWS.items()})
    read = read_questions(dataset, 40)
    assert (len(read), read.total) == (40, 150)
    assert (np.diff(read.row) > 0).all()
    assert read.sample_type.distinct[read.sample_type.code[7]] == ROWS["sample_type"][read.row[7] % 3]
    assert read_questions(dataset, 40).row.tolist() == read.row.tolist()
    assert len(read_questions(dataset, 1000)) == 150


def test_columns_in_chunks_are_one():
    table = pa.concat_tables([pa.table({**ROWS, "npz_path": [f"{at}.npz", None, "a.npz"]}) for at in range(3)])
    read = read_questions(Dataset(table))
    assert [read.paths[code] if code >= 0 else None for code in read.clips[""].path] == [
        *("0.npz", None, "a.npz"),
        *("1.npz", None, "a.npz"),
        *("2.npz", None, "a.npz"),
    ]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"frame_indices": ["0,1", "", ""]}, "`frame_indices` must hold lists of numbers, but is string"),
        ({"npz_path": [["a"], [], []]}, "`npz_path` must be large_string, but is list"),
        ({"end_progress": ["much", "", ""]}, "`end_progress` must be double, but is string"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_columns_of_another_kind_are_named(columns, text):
    with pytest.raises(DataError, match=text):
        questions(**columns)
