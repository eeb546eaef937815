import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from kept_results import KeptResults, Limit, Parts, parts_line, where

PLACE = {"machine": "a card", "torch": "2.11", "code": "abc"}
SETTING = {"strategy": "full", "steps": 5}


def test_a_result_is_found_for_the_same_setting_in_the_same_place_alone(tmp_path):
    file = tmp_path / "out.jsonl"
    KeptResults(file, PLACE).add(SETTING, {"rows": 7})
    assert KeptResults(file, PLACE).find(SETTING) == {"rows": 7}
    assert KeptResults(file, PLACE).find({**SETTING, "steps": 6}) is None
    for name in PLACE:
        assert KeptResults(file, {**PLACE, name: "another"}).find(SETTING) is None


def test_what_failed_is_written_and_tried_again(tmp_path):
    file = tmp_path / "out.jsonl"
    kept = KeptResults(file, PLACE)
    kept.add(SETTING, {"error": "out of memory"})
    assert kept.find(SETTING) is None
    assert KeptResults(file, PLACE).find(SETTING) is None
    assert json.loads(file.read_text())["result"] == {"error": "out of memory"}


def test_a_line_that_was_cut_off_is_dropped_and_the_next_is_whole(tmp_path):
    file = tmp_path / "out.jsonl"
    KeptResults(file, PLACE).add(SETTING, {"rows": 7})
    whole = file.read_bytes()
    other = {**SETTING, "steps": 6}
    for cut in range(1, len(whole)):
        file.write_bytes(whole + whole[:cut])
        kept = KeptResults(file, PLACE)
        kept.add(other, {"rows": 8})
        assert (kept.find(SETTING), KeptResults(file, PLACE).find(other)) == ({"rows": 7}, {"rows": 8})


@pytest.mark.parametrize("line", ["no json", "[1]", "{}", '{"setting": {}, "where": {}, "result": 5}', "null"])
def test_another_file_is_not_written_to(tmp_path, line):
    file = tmp_path / "out.jsonl"
    file.write_text(f"{line}\n")
    with pytest.raises(SystemExit, match=r"out.jsonl, line 1, must be a result of a benchmark, but is not: name an"):
        KeptResults(file, PLACE)
    assert file.read_text() == f"{line}\n"


def test_a_limit_counts_from_its_beginning():
    assert Limit(None).left == float("inf")
    assert 0 < Limit(100).left <= 100
    assert Limit(0).left == 0
    assert Limit(0).over == "not measured: the limit of 0 s is over"


def test_parts_follow_one_another():
    parts = Parts()
    parts.end("a")
    parts.end("b")
    assert [*parts.seconds] == ["a", "b"]
    assert parts_line({"a": 1.25, "b": 2}) == "3.2 s: a 1.2, b 2.0"


def test_the_place_is_that_of_code_and_versions():
    place = where()
    assert [*place] == ["machine", "python", "torch", "transformers", "peft", "code"]
    assert place == where()
