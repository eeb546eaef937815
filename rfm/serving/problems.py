"""What a request ends in that is not answered: a status and a text, the same for every endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response


class Problem(Exception):
    """An answer other than 200; `retry_after` says in how many seconds the same request may be answered."""

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.retry_after = status, text, retry_after

    def response(self, number: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return it as every endpoint sends it, to the request of this number."""
        again = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        content = json.dumps({"detail": self.text, "request_id": number})
        return Response(content, self.status, {**(headers or {}), **again}, media_type="application/json")


def too_large(text: str) -> Problem:
    """More bytes than a request may have."""
    return Problem(413, text)


def not_usable(text: str) -> Problem:
    """A request that cannot be understood, or whose clip cannot be shown to the model."""
    return Problem(422, text)


def busy(text: str, seconds: int) -> Problem:
    """More than the server takes on at a time."""
    return Problem(429, text, seconds)


def unavailable(text: str, seconds: int) -> Problem:
    """Nobody there to answer, for the moment."""
    return Problem(503, text, seconds)
