"""JSON within bounds: every fault names file and rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.errors import DataError
from rfm.files.documents.json_documents import Line, check_values, json_lines, parse_json, read_json, read_json_object

DEEP = "must be nested at most 64 deep, but is deeper"
FAULTS = {
    "": "must be JSON, but is not: Expecting value: line 1 column 1 (char 0)",
    "{'a': 1}": "must be JSON, but is not: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    "[" * 1_000_000: DEEP,
    '{"a":' * 100_000: DEEP,
    "[" * 65 + "]" * 65: DEEP,
    "[[]," * 40 + '{"a":[' * 13 + "]}" * 13 + "]" * 40: DEEP,
    "1" * 1_000_000: "must have whole numbers of at most 64 bits, but has 11111111111111111111… (1000000 digits)",
    "[18446744073709551616]": "must have whole numbers of at most 64 bits, but has 18446744073709551616",
    "-9223372036854775809": "must have whole numbers of at most 64 bits, but has -9223372036854775809",
    "1e400": "must have numbers that a computer can hold, but has 1e400",
    "-1E+999999999": "must have numbers that a computer can hold, but has -1E+999999999",
    '{"a": NaN}': "must have finite numbers, but has NaN; where nothing is known write null",
    "-Infinity": "must have finite numbers, but has -Infinity; where nothing is known write null",
    '"\\ud800"': "must be Unicode text, but has half a pair of UTF-16, '\\ud800'",
    '{"\\udc80": 1}': "must be Unicode text, but has half a pair of UTF-16, '\\udc80'",
    '"\\ud83d\\ud83d"': "must be Unicode text, but has half a pair of UTF-16, '\\ud83d'",
    '[{"a": 1, "b": 2, "a": 3}]': "must name each key of an object once, but has `a` twice",
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: repr(text[:12]))
def test_faults_of_a_document(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_json(file, way_out="make it again")
    assert str(caught.value) == f"{file} {FAULTS[text]}; make it again"


def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfm.files.documents.json_documents.MOST_VALUES", 10)
    with pytest.raises(DataError, match="x must hold at most 10 values, but holds more"):
        parse_json("[" + "[]," * 10 + "[]]", "x")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda child: st.lists(child) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), child),
        max_leaves=20,
    )
)  # fmt: skip
def test_everything_else_is_read_as_json_reads_it(value: Any) -> None:
    for as_ascii in (True, False):
        assert parse_json(json.dumps(value, ensure_ascii=as_ascii), "x") == value
    check_values(value, "x")


@pytest.mark.parametrize("value", [[float("inf")], {"a": 2**64}, ["\ud800"], {"\ud800": 1}, {"a": float("nan")}])
def test_values_of_other_readers_are_held_to_the_same_rules(value: Any) -> None:
    with pytest.raises(DataError, match=r"^x must (have|be)"):
        check_values(value, "x")


def test_an_object_is_wanted(tmp_path: Path) -> None:
    kinds = {"[1]": "a list", "7": "a number", "true": "true or false", "null": "nothing", '"a"': "a text"}
    for text, kind in kinds.items():
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(DataError) as caught:
            read_json_object(tmp_path / "a.json", way_out="copy it again")
        assert str(caught.value) == f"{tmp_path}/a.json must hold a JSON object, but holds {kind}; copy it again"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_give_values_or_faults(tmp_path: Path, end: str) -> None:
    lines = ['\ufeff{"a": 1}', "  ", "[1", "[" * 100_000, '"b"']
    (tmp_path / "a.jsonl").write_bytes(end.join(lines).encode())
    assert list(json_lines(tmp_path / "a.jsonl")) == [
        Line(1, {"a": 1}),
        Line(3, None, "must be JSON, but is not: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        Line(4, None, DEEP),
        Line(5, "b"),
    ]
