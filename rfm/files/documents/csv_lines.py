"""CSV from files that anybody may have written: a header, then a record a line, all with the header's fields.

Stricter than `csv`: a quote that is not closed in its line would swallow the lines behind it, a column that stands
twice would hide the first one's values, and in a line with too many or too few fields some are in the wrong column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from rfm.errors import DataError
from rfm.files.documents.json_documents import Line
from rfm.files.documents.regular import LONGEST_LINE, text_lines

_QUOTES = "a quote that opens a field must close it in the same line; write a quote within as two"

csv.field_size_limit(
    LONGEST_LINE
)  # of the process; the default of 131,072 letters is less than a long episode's progress


def csv_lines(path: str | Path, required: Sequence[str]) -> Iterator[Line]:
    """Yield each record as a dict of its fields by column, or what is wrong with its line; empty ones are left out.

    Fields of columns without a name are left out where they are empty, and else called `column 3`.

    Raises:
        DataError: the file is no text, is empty, its header lacks a required column or has one twice.

    """
    records = csv_records(path)
    names = _header(path, next(records, Line(1, [])), required)
    for number, fields, fault in records:
        if fault is not None:
            yield Line(number, {}, fault)
        elif len(fields) != len(names):
            yield Line(number, {}, f"must have {len(names)} fields as the first line has, but has {len(fields)}")
        else:
            yield Line(number, {name: text for name, text in zip(names, fields, strict=True) if text or not _own(name)})


def csv_records(path: str | Path) -> Iterator[Line]:
    """Yield each line's fields as a list of texts, or what is wrong with it; lines without any text are left out."""
    lines = text_lines(path)
    reader = csv.reader((line for _, line in lines), strict=True)
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(start, [], f"must be CSV, but is not ({error}): {_QUOTES}")
            continue
        if reader.line_num > start:
            yield Line(start, [], f"must be CSV, but one of its fields goes on to line {reader.line_num}: {_QUOTES}")
        elif any(text.strip() for text in fields):
            yield Line(start, fields)


def _header(path: str | Path, first: Line, required: Sequence[str]) -> list[str]:
    if first.fault is not None:
        raise DataError(f"{path} line {first.number} {first.fault}")
    names = [name.strip() or f"column {at}" for at, name in enumerate(first.value, start=1)]
    missing = [name for name in required if name not in names]
    if missing:
        raise DataError(
            f"{path} must name the columns {' and '.join(required)} in its first line, separated by commas, but lacks "
            f"{', '.join(missing)}: it is `{','.join(first.value)[:100]}`"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path} must name each column once, but has {', '.join(twice)} twice; remove one of them")
    return names


def _own(name: str) -> bool:
    return name.startswith("column ")
