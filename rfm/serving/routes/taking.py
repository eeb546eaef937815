"""How every request that asks the model goes: taken on or refused, received, answered unless its client leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rfm.serving.admission import Held
from rfm.serving.fleet import Fleet
from rfm.serving.options import MEGABYTE
from rfm.serving.problems import Problem
from rfm.serving.requests.body import Arriving, discard, left
from rfm.serving.service import Service

GONE = 499
"""What logs and metrics call a request whose client left; nobody receives it."""
Receive: TypeAlias = Callable[[Arriving], Awaitable[Any]]
Work: TypeAlias = Callable[[Fleet, Any, Held], Coroutine[Any, Any, Any]]


def service_of(request: Any) -> Service:
    """Return the service of the application that a request came to."""
    service: Service = request.app.state.service
    return service


def as_json(value: Any, status: int = 200) -> Response:
    """Return an answer; ValueError for NaN, which no answer may hold."""
    content = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Response(content, status, media_type="application/json")


async def answered(request: Request, receive: Receive, work: Work) -> Response:
    """Take a request on, receive it and return what `work` makes of it; Problem where it is refused."""
    service = service_of(request)
    most = service.options.max_megabytes * MEGABYTE
    try:
        with service.admission.request() as held:
            sent = await receive(Arriving(request, held, most, service.options.receive_seconds))
            async with service.fleet.held() as fleet:
                return as_json(await _unless_left(request, work(fleet, sent, held)))
    except ClientDisconnect:
        service.metrics.cancelled.inc()
        raise Problem(GONE, "the client left") from None
    except Problem:
        await discard(request, most)
        raise


async def _unless_left(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
