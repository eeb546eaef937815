import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.errors import DataError
from rfm.vqa.answers import parse_answer, read_answer, valid_answer, valid_answers, write_answer


@given(st.integers(0, 100))
def test_what_is_written_is_parsed(score):
    assert parse_answer("progress", write_answer(str(score))) == score


@pytest.mark.parametrize("kind", ["preference", "similarity"])
@pytest.mark.parametrize("answer", [1, 2])
def test_a_choice_is_parsed(kind, answer):
    assert parse_answer(kind, write_answer(str(answer))) == answer


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("ANS: 75", 75),
        ("ANS:75", 75),
        ("ANS:\n75", 75),
        ("The drawer is half open. ANS: 50", 50),
        ("ANS: 75.", 75),
        ("ANS: 75%", 75),
        ("ANS: 075", 75),
        ("ANS: 0", 0),
        ("ANS: 100", 100),
        ("ANS: 100<|im_end|>", 100),
        ("ANS: 30 or ANS: 40", 30),
        ("ANS: 30, or rather 40", 30),
        ("ANS: score ANS: 30", 30),
        ("ANS: 101", None),
        ("ANS: 1000", None),
        ("ANS: -1", None),
        ("ANS: 1.5", None),
        ("ANS: 99.5", None),
        ("ANS: 1/2", None),
        ("ANS: 10,20", None),
        ("ANS: 1,000", None),
        ("ANS: 500 ANS: 50", None),
        ("ANS: ", None),
        ("ANS: score", None),
        ("ans: 75", None),
        ("ANS 75", None),
        ("75", None),
        ("100", None),
        ("", None),
        ("ANS: ٣", None),
        ("ANS: " + "9" * 5000, None),
    ],
)
def test_progress(completion, answer):
    assert parse_answer("progress", completion) == answer


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("ANS: 1", 1),
        ("ANS: 2\n", 2),
        ("ANS: Video 1", None),
        ("Video 1", None),
        ("ANS: 1/2", None),
        ("ANS: 1.5", None),
        ("ANS: 1.0", None),
        ("ANS: 0", None),
        ("ANS: 3", None),
        ("ANS: 12", None),
        ("ANS: 21", None),
    ],
)
def test_preference(completion, answer):
    assert parse_answer("preference", completion) == answer


@given(st.text())
def test_any_text_is_an_answer_in_range_or_none(text):
    assert parse_answer("progress", f"ANS: {text}") in (None, *range(101))
    assert parse_answer("preference", f"ANS: {text}") in (None, 1, 2)


def test_every_valid_answer_is_parsed_as_itself():
    assert valid_answers("preference") == valid_answers("similarity") == (1, 2)
    assert valid_answers("progress") == tuple(range(101))
    assert valid_answers("progress", discrete=True) == (1, 2, 3, 4, 5)
    assert valid_answers("preference", discrete=True) == (1, 2)
    for kind in ("preference", "progress"):
        assert all(parse_answer(kind, write_answer(str(answer))) == answer for answer in valid_answers(kind))


@given(st.integers(0, 100))
def test_a_row_s_answer_is_read_from_texts_and_numbers(score):
    for answer in (str(score), score, float(score), np.int32(score), np.float32(score)):
        assert read_answer(answer) == valid_answer("progress", answer) == score


@pytest.mark.parametrize(
    "answer",
    [
        *("nan", "inf", "0x1e", "3_0", "3_0.0", "1e1", "30.", "30.0", "+30", "-0", "030", "00", " 30", "30\n"),
        *(
            "30\u00a0",
            "٣٠",
            "³",
            "३",
            "30%",
            "",
            "thirty",
            "ANS: 30",
            "9" * 5000,
            None,
            True,
            b"30",
            float("nan"),
            30.5,
            [30],
        ),
        *(float("inf"), np.float64("nan"), np.True_),
    ],
)
def test_what_python_takes_for_a_number_is_no_answer(answer):
    assert read_answer(answer) is None
    with pytest.raises(DataError, match="`answer` must be a whole number from 0 to 100 for progress, but is "):
        valid_answer("progress", answer)


@given(st.text(alphabet="0123456789 _.-+eExn٣\n"))
def test_a_text_is_an_answer_only_as_it_is_written(text):
    assert read_answer(text) is None or str(read_answer(text)) == text


@pytest.mark.parametrize(
    ("kind", "answer", "discrete", "low", "high"),
    [
        ("progress", "101", False, 0, 100),
        ("progress", "-1", False, 0, 100),
        ("progress", "0", True, 1, 5),
        ("preference", "0", False, 1, 2),
        ("similarity", "3", False, 1, 2),
    ],
)
def test_an_answer_out_of_range_is_refused(kind, answer, discrete, low, high):
    with pytest.raises(DataError) as caught:
        valid_answer(kind, answer, discrete=discrete)
    assert str(caught.value) == f"`answer` must be a whole number from {low} to {high} for {kind}, but is '{answer}'"


def test_a_long_answer_is_cut_in_the_message():
    with pytest.raises(DataError) as caught:
        valid_answer("progress", "9" * 5000)
    assert str(caught.value).endswith("but is '" + "9" * 39 + "…")
