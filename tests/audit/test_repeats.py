import numpy as np
from datasets import Dataset

from rfm.audit.reading.questions import read_questions
from rfm.audit.repeats import one_answer_a_question, question_hashes, repeated, row_hashes

ROW = {
    "sample_type": "preference",
    "prompt": "Which?",
    "answer": "1",
    "first_npz_path": "a.npz",
    "first_frame_indices": [0, 3],
    "second_npz_path": "b.npz",
    "second_frame_indices": [1, 2],
}


def questions(*changes: dict):
    return read_questions(Dataset.from_list([ROW | change for change in changes]))


def test_everything_that_is_asked_is_in_the_hash_and_the_answer_in_the_rows():
    made = questions(
        {},
        {"sample_type": "similarity"},
        {"prompt": "Which one?"},
        {"first_npz_path": "b.npz"},
        {"first_npz_path": "b.npz", "second_npz_path": "a.npz"},
        {"first_frame_indices": [0, 4]},
        {"first_frame_indices": [3, 0]},
        {"first_frame_indices": [0, 3, 3]},
        {"first_frame_indices": [0]},
        {"first_frame_indices": None},
        {"first_frame_indices": [0], "second_frame_indices": [3, 1, 2]},
    )
    assert len(set(question_hashes(made).tolist())) == 11
    two = questions({}, {"answer": "2"}, {"answer": "neither"}, {})
    assert len(set(question_hashes(two).tolist())) == 1
    assert repeated(row_hashes(two)).tolist() == [False, False, False, True]


def test_hashes_do_not_depend_on_the_rows_around():
    one, other = questions({"prompt": "x"}, {}, {"answer": "2"}), questions({}, {"first_npz_path": "zz"})
    assert row_hashes(one)[1] == row_hashes(other)[0]


def test_rows_without_clips_have_hashes_too():
    made = read_questions(Dataset.from_dict({"sample_type": ["x"] * 2, "prompt": ["a", "b"], "answer": ["1", "1"]}))
    assert not repeated(row_hashes(made)).any()


def test_an_answer_is_held_against_the_first_to_the_same_question():
    made = questions({}, {"answer": "2"}, {}, {"answer": "?"}, {"prompt": "x", "answer": "2"})
    finding = one_answer_a_question(made)
    assert np.flatnonzero(finding.broken).tolist() == [1]
    assert (finding.checked, finding.examples(made)) == (5, [1])


def test_many_rows_have_different_hashes():
    lists = np.random.default_rng(0).integers(0, 40, (20000, 4))
    rows = {name: [value] * len(lists) for name, value in ROW.items()} | {"first_frame_indices": lists.tolist()}
    hashes = row_hashes(read_questions(Dataset.from_dict(rows)))
    assert len(np.unique(hashes)) == len(np.unique(lists, axis=0))
