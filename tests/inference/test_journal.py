import json

import pytest

from rfm.errors import DataError
from rfm.inference.journal import Journal
from rfm.inference.prediction import Prediction

THIRD = Prediction("ANS: 1", probabilities=(1 / 3, 2 / 3), leftover=1e-17)


def test_what_was_saved_is_read_by_any_process_with_all_digits(tmp_path):
    first, second = Journal(tmp_path / "answers", 0), Journal(tmp_path / "answers", 1)
    first.add({"a": THIRD.to_json()})
    second.add({"b": Prediction("", unreadable="gone").to_json()})
    again = Journal(tmp_path / "answers", 2)
    assert len(again) == 2
    assert Prediction.from_json(again.get("a")) == THIRD
    assert Prediction.from_json(again.get("b")) == Prediction("", unreadable="gone")
    assert again.get("c") is None


def test_half_a_line_costs_its_answer_and_nothing_else(tmp_path, caplog):
    journal = Journal(tmp_path)
    journal.add({"a": {"text": "one"}})
    journal.add({"b": {"text": "two"}})
    content = journal.file.read_bytes()
    journal.file.write_bytes(content[:-5])
    again = Journal(tmp_path)
    assert (again.get("a"), again.get("b")) == ({"text": "one"}, None)
    assert "ends in half a line, written when its run was interrupted: that answer is asked again" in caplog.text
    again.add({"b": {"text": "three"}})
    assert Journal(tmp_path).get("b") == {"text": "three"}
    assert [json.loads(line)["key"] for line in journal.file.read_text().splitlines()] == ["a", "b"]


def test_other_content_is_refused(tmp_path):
    (tmp_path / "0.jsonl").write_text('{"key": "a"}\n')
    with pytest.raises(DataError, match=r"0.jsonl line 1 must have `key` and `value`, but has not; delete the file"):
        Journal(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"Saved answers must be a folder, but .*file is a file; move it away"):
        Journal(tmp_path / "file")


def test_a_finished_run_leaves_nothing(tmp_path):
    journal = Journal(tmp_path / "answers")
    journal.add({"a": {"text": "one"}})
    journal.remove()
    assert list(tmp_path.iterdir()) == []
