"""Connections as uvicorn serves them, closed where no whole request head arrives in time.

uvicorn waits for the head of a request for as long as the connection is open; a client that sends it letter by letter,
or none at all, would hold its connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 15.0
"""In which the first request's head must have arrived; between requests uvicorn's keep-alive time holds."""


class TimedConnection(H11Protocol):
    """A connection with a time limit until its first request, and from the first byte of each later one."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Stop it when a request's head is there."""
        before = self.cycle
        if self._head is None and self._between_requests():
            self._start_clock()
        super().data_received(data)
        if self.cycle is not before or self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop it for good."""
        self._stop_clock()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _start_clock(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_clock(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
