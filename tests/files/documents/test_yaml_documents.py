"""YAML within bounds: aliases count for what they stand for, dates are text, tags are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rfm.errors import DataError
from rfm.files.documents.yaml_documents import read_yaml

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + at)}: &{chr(98 + at)} [{','.join([f'*{chr(97 + at)}'] * 10)}]\n" for at in range(9)
)
MERGE_BOMB = "a: &a {k0: 1, k1: 2}\n" + "".join(
    f"b{at}: &b{at} {{<<: [{','.join([f'*b{at - 1}' if at else '*a'] * 30)}], x{at}: 1}}\n" for at in range(6)
)
MANY = "must hold at most 10000 values with what its aliases stand for, but holds more"
FAULTS = {
    BOMB: MANY,
    MERGE_BOMB: MANY,
    "- a\n" * 20_000: MANY,
    "- " * 100_000: "must be nested at most 64 deep, but is deeper",
    "[" * 100_000: "must be nested at most 64 deep, but is deeper",
    "a: &x [*x]": "must end somewhere, but `*x` stands within itself",
    "a: &x {b: *x}": "must end somewhere, but `*x` stands within itself",
    "a: !!python/object:os.system [ls]": "must do without tags, but has `python/object:os.system` in line 1",
    "a: 1\nb: !mine 2": "must do without tags, but has `!mine` in line 2",
    "a: " + "7" * 5000: "must have numbers of at most 20 digits, but has 77777777777777777777…",
    "a: 1" + ":59" * 50_000: "must have numbers of at most 20 digits, but has 1:59:59:59:59:59:59:…",
    "a: 0xfffffffffffffffff": "must have whole numbers of at most 64 bits, but has 295147905179352825855",
    "a: .inf": "must have numbers that a computer can hold, but has inf",
    "a: .nan": "must have numbers that a computer can hold, but has nan",
    'a: "\\ud800"': "must be Unicode text, but has half a pair of UTF-16, '\\ud800'",
    "a: 1\na: 2": "must name each key of a mapping once, but has `a` twice",
    "? [a]\n: 1": "must have texts as keys, but has a sequence as one in line 1",
    "a: *none": "must be YAML, but is not: found undefined alias 'none'",
    "--- 1\n--- 2": "must be YAML, but is not: expected a single document in the stream",
    "a: [1": "must be YAML, but is not: while parsing a flow sequence",
    "a: \x07": "must be YAML, but is not: unacceptable character #x0007: special characters are not allowed",
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: repr(text[:12]))
def test_faults_of_a_document(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_yaml(file)
    assert str(caught.value).startswith(f"{file} {FAULTS[text]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("date: 2024-99-99\nother: 2024-01-01 10:00:00", {"date": "2024-99-99", "other": "2024-01-01 10:00:00"}),
        ("a: &x [1, 2.5]\nb: *x", {"a": [1, 2.5], "b": [1, 2.5]}),
        ("a: &x {b: 1}\nc: &y {<<: *x, b: 2}\nd: {<<: *y}", {"a": {"b": 1}, "c": {"b": 2}, "d": {"b": 2}}),
        ("a: [yes, no, null, ~, 'x y', \"é\"]", {"a": [True, False, None, None, "x y", "é"]}),
        ("1: a\n2.5: b\nnull: c", {1: "a", 2.5: "b", None: "c"}),
    ],
)
def test_plain_values_are_read(tmp_path: Path, text: str, value: Any) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    assert read_yaml(tmp_path / "a.yaml") == value


def test_size_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: " + "x" * 2**18)
    with pytest.raises(DataError, match=rf"must have at most {2**18} bytes, but has {2**18 + 3}"):
        read_yaml(tmp_path / "a.yaml")
