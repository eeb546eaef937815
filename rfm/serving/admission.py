"""How much the server takes on at a time: requests, and bytes of what they sent, counted before memory is taken."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rfm.serving.problems import busy, too_large

_LONGEST_WAIT = 60


class Admission:
    """Requests that were taken on and are not answered yet."""

    def __init__(self, most_requests: int, most_bytes: int) -> None:
        self._most_requests, self._most_bytes = most_requests, most_bytes
        self.requests, self.bytes = 0, 0
        self._seconds = 0.1
        """What a request took of late, divided by how many were answered beside it."""

    @contextlib.contextmanager
    def request(self, *, timed: bool = True) -> Iterator[Held]:
        """Count a request until it is answered; a Problem with status 429 where there are enough.

        A session, which lasts as long as its client likes, is not `timed`.
        """
        if self.requests >= self._most_requests:
            raise busy(f"at most {self._most_requests} requests are taken on at a time; ask again later", self.wait())
        self.requests += 1
        held, start, beside = Held(self), time.monotonic(), self.requests
        try:
            yield held
            if timed:
                self._seconds += 0.05 * ((time.monotonic() - start) / beside - self._seconds)
        finally:
            self.requests -= 1
            held.release()

    def wait(self) -> int:
        """Return in how many seconds there should be room."""
        return min(max(round(self.requests * self._seconds), 1), _LONGEST_WAIT)

    def take(self, count: int, already: int) -> None:
        """Count bytes of a request that has some already; a Problem where there are too many.

        Its status is 413 where the request could never be taken on, and else 429.
        """
        if already + count > self._most_bytes:
            raise too_large(f"a request may hold at most {self._most_bytes} bytes, but needs {already + count}")
        if self.bytes + count > self._most_bytes:
            raise busy(
                f"requests may hold {self._most_bytes} bytes together, of which {self.bytes} are taken, but this one "
                f"needs {count} more; ask again later",
                self.wait(),
            )
        self.bytes += count


class Held:
    """The bytes of one request."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self.bytes = admission, 0

    def take(self, count: int) -> None:
        """Count more of them."""
        self._admission.take(count, self.bytes)
        self.bytes += count

    @contextlib.contextmanager
    def lent(self, count: int) -> Iterator[None]:
        """Count more of them for a while."""
        self.take(count)
        try:
            yield
        finally:
            self.bytes -= count
            self._admission.bytes -= count

    def release(self) -> None:
        """Count them no longer."""
        self._admission.bytes -= self.bytes
        self.bytes = 0
