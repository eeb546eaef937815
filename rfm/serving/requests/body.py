"""The bytes of a request, received within bounds of size, memory and time.

A length that is declared is held against the bounds before the first byte is read; one that is not, as bytes come.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import anyio
from starlette.requests import ClientDisconnect, Request

from rfm.serving.admission import Held
from rfm.serving.problems import Problem, too_large

_DISCARDED_SECONDS = 2.0


class Arriving(NamedTuple):
    """A request whose body is still to be read, and its bounds."""

    request: Request
    held: Held
    most: int
    """Bytes of the body."""
    seconds: float
    """In which all of it must be there."""


async def received(arriving: Arriving) -> bytearray:
    """Return the whole body; Problem where it is too large, packed or slow. ClientDisconnect where the client left."""
    request, held, most, seconds = arriving
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed != "identity":
        raise Problem(415, f"`Content-Encoding` must be left out, but is {packed[:40]!r}: send the body as it is")
    declared = _declared(request, most)
    held.take(declared or 0)
    body = bytearray()
    try:
        with anyio.fail_after(seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > most:
                    raise too_large(_size_rule(most, "more"))
                if len(body) + len(chunk) > held.bytes:
                    held.take(len(body) + len(chunk) - held.bytes)
                body += chunk
    except TimeoutError:
        raise Problem(408, f"a request must arrive within {seconds:.0f} seconds, but {len(body)} bytes did") from None
    return body


async def discard(request: Request, most: int) -> None:
    """Read what a refused request sends on, for a moment: a client that is cut off while it sends sees no answer."""
    count = 0
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: it was read already
        with anyio.fail_after(_DISCARDED_SECONDS):
            async for chunk in request.stream():
                count += len(chunk)
                if count > most:
                    return


async def left(request: Request) -> None:
    """Return when the client has gone; after the body was received."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _declared(request: Request, most: int) -> int | None:
    text = request.headers.get("content-length")
    if text is None:
        return None
    declared = int(text)  # the HTTP parser has checked that it is a number
    if declared > most:
        raise too_large(_size_rule(most, str(declared)))
    return declared


def _size_rule(most: int, found: str) -> str:
    return f"a request must have at most {most} bytes, but has {found}; send smaller frames, or fewer"
