import hashlib

import pytest

from rfm.errors import ConfigError
from rfm.evaluation.options import EvaluateOptions
from rfm.evaluation.rivals import roboreward
from rfm.evaluation.rivals.roboreward import Question, level_said, read_question


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("ANSWER: 4", 4),
        ("answer:2", 2),
        ("**ANSWER:** 3", 3),
        ("ANSWER: <5>", 5),
        ("The cup stands. ANSWER: 1. Nothing else.", 1),
        ("ANSWER: <score>\nANSWER: 2", 2),
        ("3", 3),
        ("2. The cup is not on the plate.", 2),
        ("ANSWER: 4/5", 4),
        ("ANSWER: 2.5", None),
        ("ANSWER: 2,5", None),
        ("ANSWER: -2", None),
        ("ANSWER: 0", None),
        ("ANSWER: 6", None),
        ("ANSWER: 45", None),
        ("ANS: 75", None),
        ("level 4", None),
        ("3rd", None),
        ("", None),
    ],
)
def test_a_level_is_read_behind_answer_or_at_the_start(said, level):
    assert level_said(said) == level


def test_the_published_words_are_known_by_their_hash(tmp_path, monkeypatch):
    words = "How far, 1 to 5?\n\nTask: {task}"
    monkeypatch.setattr(roboreward, "_PUBLISHED", hashlib.sha256(b"How far, 1 to 5? Task: {task}").hexdigest())
    assert not read_question(None).published
    file = tmp_path / "words.txt"
    file.write_text(f"{words}\n")
    found = read_question(str(file))
    assert (found.text, found.published) == (words, True)
    assert found.about("lift {task}") == "How far, 1 to 5?\n\nTask: lift {task}"
    assert found.sha256 != Question().sha256


def test_words_that_cannot_be_asked_are_refused(tmp_path):
    file = tmp_path / "words.txt"
    with pytest.raises(ConfigError, match=r"`prompt_file` .*words.txt must exist, but does not"):
        read_question(str(file))
    for text, count in (("how far?", 0), ("{task} {task}", 2)):
        file.write_text(text)
        with pytest.raises(ConfigError, match=rf"must have {{task}} once, .*, but has it {count} times"):
            read_question(str(file))
    file.write_text("{task}" + "x" * 20_000)
    with pytest.raises(ConfigError, match=r"must have at most 16384 characters, but has 20006"):
        read_question(str(file))
    with pytest.raises(ConfigError, match=r"`prompt_file` must go with --prompting roboreward, but"):
        EvaluateOptions("m", "d", prompt_file=str(file))
