"""What stands before every request, whatever becomes of it: its number, its key, its line in the log and its count."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rfm.serving.logs import say
from rfm.serving.problems import Problem, unavailable
from rfm.serving.service import Service

logger = logging.getLogger(__name__)

OPEN = ("/", "/health", "/ready", "/docs", "/openapi.json")
"""Paths that need no key: they tell nothing about what is asked."""
_SPARE_CONNECTIONS = 256
"""Beside one for each request that may be taken on: for those that are refused, and for who watches the server."""
_NUMBER = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        self._most_connections = service.options.max_requests + _SPARE_CONNECTIONS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in what shows a key, and note what became of it."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and not self._fits(scope):
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, number = time.monotonic(), _number(scope)
        scope.setdefault("state", {})["request_id"] = number
        status = 0

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            await send(message)

        try:
            await (self._refused(scope, number) or self._app)(scope, receive, numbered)
        except Exception:
            logger.exception("a request failed: %s", number)
            if status == 0:
                failed = Problem(500, "the server failed; its log says why")
                await failed.response(number)(scope, receive, numbered)
        finally:
            self._count(scope, status, number, time.monotonic() - start)

    def _refused(self, scope: Scope, number: str) -> ASGIApp | None:
        """Return what to say where the request gets no further."""
        open_now = self._service.connections()
        if open_now >= self._most_connections:
            text = f"there must be fewer than {self._most_connections} connections, but are {open_now}; ask again later"
            return unavailable(text, self._service.admission.wait()).response(number, {"Connection": "close"})
        if scope["path"] not in OPEN and not self._fits(scope):
            problem = Problem(401, "`Authorization` must be `Bearer` and a valid key, but is not")
            return problem.response(number, {"WWW-Authenticate": "Bearer"})
        return None

    def _fits(self, scope: Scope) -> bool:
        return self._service.keys.fit(_header(scope, b"authorization"))

    def _count(self, scope: Scope, status: int, number: str, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # what was asked for may be anything
        metrics = self._service.metrics
        metrics.requests.labels(route, str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        level = logging.ERROR if status == 500 else logging.INFO
        fields = {"request": number, "method": scope["method"][:16], "route": route, "status": status}
        sent = _header(scope, b"content-length")[:16]
        say(logger, level, "request", **fields, ms=round(1000 * seconds, 1), bytes=sent or None)


def _number(scope: Scope) -> str:
    """Return the request's number: its client's own where that is a plain one."""
    given = _header(scope, b"x-request-id")
    return given if _NUMBER.fullmatch(given) else uuid.uuid4().hex


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""
