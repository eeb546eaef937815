"""A request of either form, multipart or JSON with base64, as fields and files."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Collection
from typing import Any, NamedTuple

from starlette.requests import Request

from rfm.errors import DataError
from rfm.files.documents.json_documents import parse_json
from rfm.serving.options import MEGABYTE
from rfm.serving.problems import Problem, not_usable
from rfm.serving.requests.body import Arriving, received
from rfm.serving.requests.fields import Fields
from rfm.serving.requests.multipart import Part, parts

MOST_JSON = 16 * MEGABYTE
"""Bytes of a JSON body: its values take several times as much memory."""
_VALUE, _COLLECTION, _TEXT = 40, 80, 60
"""Bytes of memory that each takes, at most, beside its characters."""
_AT_ONCE = 2**18
"""Bytes that are parsed without letting other requests have their turn."""
FORM, JSON = "multipart/form-data", "application/json"


class Sent(NamedTuple):
    """What a request said."""

    fields: Fields
    files: dict[str, memoryview]

    def file(self, name: str) -> memoryview:
        """Return the bytes of a file that must be there."""
        if name not in self.files:
            raise not_usable(f"`{name}` must be a video, an .npy or an .npz, but is missing")
        return self.files[name]


async def sent(arriving: Arriving, files: Collection[str]) -> Sent:
    """Receive and take apart a request whose files have these names."""
    if arriving.request.url.query:  # what stands there would be believed to have an effect
        raise not_usable("a request must say all in its body, but has a query")
    if content_type(arriving.request, (FORM, JSON)) == FORM:
        form = await received_form(arriving)
        values = {name: part.text(name) for name, part in form.items() if name not in files}
        return Sent(Fields(values), {name: form[name].data for name in files if name in form})
    said = await received_json(arriving)
    if not isinstance(said, dict):
        raise not_usable("the body must be a JSON object, but is something else")
    values = {name: value for name, value in said.items() if name not in files}
    return Sent(Fields(values), {name: _decoded(name, said[name]) for name in files if said.get(name) is not None})


async def received_form(arriving: Arriving) -> dict[str, Part]:
    """Return the parts of a form."""
    body = await received(arriving)
    header = arriving.request.headers["content-type"]
    return parts(body, header) if len(body) < _AT_ONCE else await asyncio.to_thread(parts, body, header)


async def received_json(arriving: Arriving) -> Any:
    """Return the value of a JSON body."""
    try:
        body = await received(arriving._replace(most=min(arriving.most, MOST_JSON)))
    except Problem as problem:
        if problem.status == 413 and arriving.most > MOST_JSON:
            problem.text += ", or send them as multipart/form-data, which may be larger"
        raise
    arriving.held.take(_parsed_size(body))
    try:
        if len(body) < _AT_ONCE:
            return parse_json(bytes(body), "the body")
        return await asyncio.to_thread(parse_json, bytes(body), "the body")
    except DataError as error:
        raise not_usable(str(error)) from None


def _parsed_size(body: bytearray) -> int:
    """Return how much memory the values of a JSON text take, at most: two letters may make an object."""
    collections, texts = body.count(b"[") + body.count(b"{"), body.count(b'"') // 2
    return len(body) + _VALUE * body.count(b",") + _COLLECTION * collections + _TEXT * texts


def content_type(request: Request, known: Collection[str]) -> str:
    """Return the type of the body, which must be a known one."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said not in known:
        raise Problem(415, f"`Content-Type` must be {' or '.join(known)}, but is {said[:60] or 'missing'}")
    return said


def _decoded(name: str, value: Any) -> memoryview:
    if not isinstance(value, str):
        raise not_usable(f"`{name}` must be the base64 text of a video, an .npy or an .npz, but is something else")
    try:
        return memoryview(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError) as error:
        raise not_usable(f"`{name}` must be base64, but decoding it gives: {error}") from None
