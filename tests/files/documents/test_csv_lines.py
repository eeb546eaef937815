"""CSV records: a line each, all of the header's fields, nothing swallowed and nothing hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from rfm.errors import DataError
from rfm.files.documents.csv_lines import csv_lines
from rfm.files.documents.json_documents import Line

QUOTES = "a quote that opens a field must close it in the same line; write a quote within as two"


def read(tmp_path: Path, content: str | bytes) -> list[Line]:
    file = tmp_path / "a.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(csv_lines(file, ("path", "task")))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_records_of_any_system(tmp_path: Path, end: str) -> None:
    lines = ["\ufeff path ,task,note", 'a.mp4,"say ""hi"", twice",', "", "b.mp4,été,x", ",,"]
    assert read(tmp_path, end.join(lines)) == [
        Line(2, {"path": "a.mp4", "task": 'say "hi", twice', "note": ""}),
        Line(4, {"path": "b.mp4", "task": "été", "note": "x"}),
    ]


def test_fields_may_be_long(tmp_path: Path) -> None:
    long = ",".join(["0.123"] * 200_000)
    assert read(tmp_path, f'path,task,progress\na,b,"[{long}]"')[0].value["progress"] == f"[{long}]"


def test_a_quote_that_stays_open_hides_no_line(tmp_path: Path) -> None:
    assert read(tmp_path, 'path,task\na,"b\nc,d\ne,f\n') == [
        Line(2, {}, f"must be CSV, but is not (unexpected end of data): {QUOTES}")
    ]
    assert read(tmp_path, 'path,task\na,"b\nc,d"\ne,f\n') == [
        Line(2, {}, f"must be CSV, but one of its fields goes on to line 3: {QUOTES}"),
        Line(4, {"path": "e", "task": "f"}),
    ]
    assert read(tmp_path, 'path,task\n"a"x,b\nc,d\n') == [
        Line(2, {}, f"must be CSV, but is not (',' expected after '\"'): {QUOTES}"),
        Line(3, {"path": "c", "task": "d"}),
    ]


def test_every_line_has_the_fields_of_the_first(tmp_path: Path) -> None:
    assert [line.fault for line in read(tmp_path, "path,task\na\na,b,c\na,b\n")] == [
        "must have 2 fields as the first line has, but has 1",
        "must have 2 fields as the first line has, but has 3",
        None,
    ]


def test_columns_without_a_name_are_left_out_where_they_are_empty(tmp_path: Path) -> None:
    assert read(tmp_path, ",path,task,,\n,a,b,,\n0,c,d,,x\n") == [
        Line(2, {"path": "a", "task": "b"}),
        Line(3, {"column 1": "0", "path": "c", "task": "d", "column 5": "x"}),
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("path,task,path\na,b,c", "must name each column once, but has path twice; remove one of them"),
        ("path,task,n,n ,path\na,b,c,d,e", "must name each column once, but has n, path twice; remove one of them"),
        (
            "path;task\na;b",
            "must name the columns path and task in its first line, separated by commas, but lacks path, task: it is "
            "`path;task`",
        ),
        (
            "",
            "must name the columns path and task in its first line, separated by commas, but lacks path, task: it is "
            "``",
        ),
        ('path,"task\na,b', f"line 1 must be CSV, but is not (unexpected end of data): {QUOTES}"),
        (b"path,task\na,\0\n", "must be text, but has a NUL in line 2; save it as UTF-8"),
        ("path,task\n".encode("utf-16"), "must be UTF-8 text, but is UTF-16; save it as UTF-8"),
    ],
)
def test_faults_of_the_whole_file(tmp_path: Path, content: str | bytes, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert str(caught.value) == f"{tmp_path}/a.csv {fault}"
