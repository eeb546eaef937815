"""Files that anybody may have written, opened and read within bounds: regular files of UTF-8 text, nothing else.

A named pipe would hang, a device never end, and a text of another encoding be read as other letters. Each is a
`DataError` that names the file; so are names that no file can have. A byte order mark at the start is passed over.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

from rfm.errors import DataError

SMALL, LARGE = 2**24, 2**28
"""Bytes of a description (16 MiB), and of what has an entry for each row (256 MiB)."""
LONGEST_LINE = 2**26
"""Bytes of a line of a list; a million numbers have 20 million."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_FAILURES = {
    errno.ENOENT: "must exist, but does not",
    errno.ENOTDIR: "must lie in a folder, but a part of its path is a file",
    errno.EACCES: "must be open to this user, but is not; change its rights",
    errno.EPERM: "must be open to this user, but is not; change its rights",
    errno.ELOOP: "must lead to a file, but its links lead in a circle",
    errno.ENAMETOOLONG: "must have a shorter name",
    errno.ENXIO: "must be a file, but is a socket or a device",
}
_MARKS = ((b"\xef\xbb\xbf", ""), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_LINE_END = re.compile(r"\r\n?|\n")


class MissingFileError(DataError):
    """A file that is not there, for callers to whom that means something of its own."""


@contextmanager
def open_regular(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file, or one that a link leads to, for reading.

    Raises:
        MissingFileError: there is none.
        DataError: it is something else, or can't be opened or read.

    """
    with _opened(path) as stream:
        try:
            yield stream
        except OSError as error:
            raise DataError(f"{path} must be readable, but reading it gives: {error.strerror}") from error


def is_regular(path: str | Path) -> bool:
    """Whether there is a regular file; unlike `Path.is_file` it never fails, whatever the name."""
    return _is(path, stat.S_ISREG)


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder; unlike `Path.is_dir` it never fails, whatever the name."""
    return _is(path, stat.S_ISDIR)


def read_bytes(path: str | Path, most: int = SMALL) -> bytes:
    """Return what a regular file holds; `DataError` where that is more than `most` bytes."""
    with open_regular(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise DataError(f"{path} must have at most {most} bytes, but has {Path(path).stat().st_size}")
    return content


def read_text(path: str | Path, most: int = SMALL) -> str:
    """Return the text of a regular file, line ends as they are; `DataError` where it is no UTF-8, or holds a NUL."""
    return decoded(read_bytes(path, most), str(path))


def text_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    r"""Yield (number from 1, line without its end) of a regular file; lines end in `\n`, `\r\n` or `\r`.

    One line is in memory at a time: at most `LONGEST_LINE` bytes.
    """
    for number, text in lines_or_faults(path):
        if isinstance(text, DataError):
            raise text
        yield number, text


def lines_or_faults(path: str | Path) -> Iterator[tuple[int, str | DataError]]:
    """As `text_lines`, but a line that is no UTF-8 comes as its fault; a file of another encoding is an error."""
    number = 0
    with open_regular(path) as stream:
        while raw := stream.readline(LONGEST_LINE + 1):
            if len(raw) > LONGEST_LINE:
                raise DataError(f"{path} line {number + 1} must have at most {LONGEST_LINE} bytes, but has more")
            try:
                text = decoded(raw, str(path), number + 1)
            except DataError as error:
                if b"\0" in raw or raw.startswith(tuple(mark for mark, name in _MARKS if name)):
                    raise
                number += 1
                yield number, error
                continue
            for line in _LINE_END.split(text.removesuffix("\n").removesuffix("\r")):
                number += 1
                yield number, line


def decoded(content: bytes, place: str, line: int = 1) -> str:
    """Return the UTF-8 text of bytes without its mark; `DataError` that names `place` where it is none.

    `line` is the number of its first line.
    """
    mark, other = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", ""))
    if other:
        raise DataError(f"{place} must be UTF-8 text, but is {other}; save it as UTF-8")
    try:
        text = content[len(mark) :].decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + error.object.count(b"\n", 0, error.start)
        raise DataError(
            f"{place} must be UTF-8 text, but is not in line {at} ({error.reason}); save it as UTF-8"
        ) from error
    if (at := text.find("\0")) >= 0:
        line += text.count("\n", 0, at)
        raise DataError(f"{place} must be text, but has a NUL in line {line}; save it as UTF-8")
    return text


def _is(path: str | Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _opened(path: str | Path) -> BinaryIO:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer does not wait
    except OSError as error:
        _raise_unopened(path, error)
    except ValueError as error:  # NUL, or half a pair of UTF-16
        raise DataError(f"{str(path)!r} must be the name of a file, but no file can have it") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        raise DataError(f"{path} must be a file, but is {kind}")
    return os.fdopen(handle, "rb")


def _raise_unopened(path: str | Path, error: OSError) -> NoReturn:
    kind = MissingFileError if error.errno == errno.ENOENT else DataError
    fault = _FAILURES.get(error.errno or 0, f"must be readable, but opening it gives: {error.strerror}")
    raise kind(f"{path} {fault}") from error
