"""Which files are read at all: regular ones of UTF-8 text, within bounds."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rfm.errors import DataError
from rfm.files.documents.regular import MissingFileError, read_bytes, read_text, text_lines


def test_what_is_no_regular_file_is_named_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "one").symlink_to(tmp_path / "other")
    (tmp_path / "other").symlink_to(tmp_path / "one")
    (tmp_path / "file").write_text("x")
    faults = {
        tmp_path / "pipe": "must be a file, but is a named pipe",
        tmp_path / "folder": "must be a file, but is a folder",
        tmp_path / "one": "must lead to a file, but its links lead in a circle",
        tmp_path / "file" / "below": "must lie in a folder, but a part of its path is a file",
        tmp_path / ("x" * 300): "must have a shorter name",
        Path("/dev/zero"): "must be a file, but is a device",
    }
    for path, fault in faults.items():
        with pytest.raises(DataError) as caught:
            read_bytes(path)
        assert str(caught.value) == f"{path} {fault}"


def test_a_socket_is_none_either(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(DataError, match="must be a file, but is a socket or a device"):
            read_bytes(tmp_path / "socket")


def test_a_file_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError) as caught:
        read_text(tmp_path / "none.json")
    assert str(caught.value) == f"{tmp_path}/none.json must exist, but does not"


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(DataError) as caught:
        read_text(name)
    assert str(caught.value) == f"{name!r} must be the name of a file, but no file can have it"


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_text(tmp_path / "link") == "text"


def test_size_is_bounded_before_all_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(DataError) as caught:
        read_bytes(tmp_path / "sparse", 1000)
    assert str(caught.value) == f"{tmp_path}/sparse must have at most 1000 bytes, but has {2**40}"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("a\nb".encode("utf-16"), "must be UTF-8 text, but is UTF-16; save it as UTF-8"),
        ("a\nb".encode("utf-16-be"), "must be text, but has a NUL in line 1; save it as UTF-8"),
        (b"a\nb\n\0", "must be text, but has a NUL in line 3; save it as UTF-8"),
        (
            b"a\nb\n\xe9t\xe9\n",
            "must be UTF-8 text, but is not in line 3 (invalid continuation byte); save it as UTF-8",
        ),
        (b"a\n\xed\xa0\x80", "must be UTF-8 text, but is not in line 2 (invalid continuation byte); save it as UTF-8"),
    ],
)
def test_other_encodings_are_named_with_their_line(tmp_path: Path, content: bytes, fault: str) -> None:
    file = tmp_path / "text"
    file.write_bytes(content)
    for read in (read_text, lambda path: list(text_lines(path))):
        with pytest.raises(DataError) as caught:
            read(file)
        assert str(caught.value) == f"{file} {fault}"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbf" + f"a{end}{end}b\u2028c{end}".encode())
    assert list(text_lines(tmp_path / "text")) == [(1, "a"), (2, ""), (3, "b\u2028c")]


def test_a_line_without_an_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfm.files.documents.regular.LONGEST_LINE", 10)
    (tmp_path / "text").write_bytes(b"short\n" + b"x" * 11)
    with pytest.raises(DataError, match=r"text line 2 must have at most 10 bytes, but has more"):
        list(text_lines(tmp_path / "text"))
