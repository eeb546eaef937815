"""multipart/form-data (RFC 7578) out of a body that is in memory: parts are views of it, nothing is copied.

Every part must be named, each name once. File names are nothing but words: no file is ever made by one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rfm.serving.problems import Problem, not_usable

MOST_PARTS = 1024
_LONGEST_HEADERS = 4096
_LONGEST_BOUNDARY = 70
"""Characters, as RFC 2046 has it."""
_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^\s;,"]+))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:[ \t]*form-data[ \t]*;(.*)$", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(
    rb'(?:^|;)[ \t]*(name|filename)[ \t]*=[ \t]*(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))', re.IGNORECASE
)


class Part(NamedTuple):
    """A field of a form, or a file."""

    data: memoryview
    filename: str | None

    def text(self, name: str) -> str:
        """Return the value of a field."""
        try:
            return bytes(self.data).decode()
        except UnicodeDecodeError:
            raise not_usable(f"`{name}` must be UTF-8 text, but is not") from None


def parts(body: bytearray, content_type: str, most: int = MOST_PARTS) -> dict[str, Part]:
    """Return the parts by name; Problem where it is no form."""
    delimiter = b"\r\n--" + _boundary(content_type)
    whole = memoryview(body)
    found: dict[str, Part] = {}
    at = len(delimiter) - 2 if body.startswith(delimiter[2:]) else _after(body, delimiter, 0)
    while body[at : at + 2] != b"--":
        if len(found) == most:
            raise Problem(413, f"a form must have at most {most} parts, but has more")
        end = body.find(b"\r\n\r\n", at, at + _LONGEST_HEADERS)
        if end < 0:
            raise not_usable(f"each part of a form must have headers of at most {_LONGEST_HEADERS} bytes")
        name, filename = _named(bytes(body[at : end + 2]))
        if name in found:
            raise not_usable(f"a form must have each part once, but has `{name}` twice")
        close = _after(body, delimiter, end + 2)
        found[name] = Part(whole[min(end + 4, close - len(delimiter)) : close - len(delimiter)], filename)
        at = close
    return found


def _boundary(content_type: str) -> bytes:
    match = _BOUNDARY.search(content_type)
    boundary = (match[1] or match[2]) if match else ""
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise not_usable("`Content-Type` of a form must have a boundary of 1 to 70 characters")
    return boundary.encode("latin-1", "replace")


def _after(body: bytearray, delimiter: bytes, start: int) -> int:
    at = body.find(delimiter, start)
    if at < 0:
        raise not_usable("a form must end in its boundary, but does not: it was cut off")
    return at + len(delimiter)


def _named(headers: bytes) -> tuple[str, str | None]:
    disposition = _DISPOSITION.search(headers)
    found: dict[bytes, str] = {}
    for key, quoted, plain in _PARAMETER.findall(disposition[1] if disposition else b""):
        found.setdefault(key.lower(), (re.sub(rb"\\(.)", rb"\1", quoted) or plain).decode("utf-8", "replace"))
    if not found.get(b"name"):
        raise not_usable("each part of a form must have a name (`Content-Disposition: form-data; name=…`)")
    return found[b"name"], found.get(b"filename")
