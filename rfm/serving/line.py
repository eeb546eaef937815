"""The questions that wait for a worker: first come, first served, and with the first all of its kind.

A question whose request is gone leaves the line. One whose turn never comes ends after `seconds`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from rfm.serving.questions import Answer, Question

PATIENCE = 1.0
"""Seconds after which a worker that has nothing to do looks around."""


@dataclass(eq=False)
class Waiting:
    """A question in line, and where its answer goes."""

    question: Question
    answer: asyncio.Future[Answer]
    since: float = field(default_factory=time.monotonic)


class Line:
    """Questions by kind, in the order in which they came."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Any, deque[Waiting]] = OrderedDict()
        self._came = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def add(self, question: Question) -> Waiting:
        """Put a question at the end."""
        waiting = Waiting(question, asyncio.get_running_loop().create_future())
        self._kinds.setdefault(question.kind, deque()).append(waiting)
        self._came.set()
        return waiting

    def drop(self, waiting: Waiting) -> None:
        """Take a question out, wherever it stands; nothing where it is being answered already."""
        kind = waiting.question.kind
        if waiting in self._kinds.get(kind, ()):
            self._kinds[kind].remove(waiting)
            self._tidy(kind)

    async def batch(self, most: int, gather: float) -> list[Waiting]:
        """Return the question that waits longest and others of its kind, at most so many.

        Waits until there is one; then, until it has waited for `gather` seconds, for more of its kind. Nothing where
        none comes within `PATIENCE`.
        """
        while True:
            try:
                await asyncio.wait_for(self._came.wait(), PATIENCE)
            except asyncio.TimeoutError:
                return []
            if not self._kinds:  # another worker that was woken by the same question has taken it
                continue
            kind, first = self._first()
            missing = first.since + gather - time.monotonic()
            if len(self._kinds[kind]) >= most or missing <= 0:
                return self._take(kind, most)
            await asyncio.sleep(missing)  # the first may have been dropped meanwhile, or taken by another worker

    def give_back(self, taken: list[Waiting]) -> None:
        """Put a batch that was not asked where it stood, but for those that wait no longer."""
        for waiting in reversed([one for one in taken if not one.answer.done()]):
            self._kinds.setdefault(waiting.question.kind, deque()).appendleft(waiting)
            self._came.set()

    def _first(self) -> tuple[Any, Waiting]:
        return min(((kind, one[0]) for kind, one in self._kinds.items()), key=lambda entry: entry[1].since)

    def _take(self, kind: Any, most: int) -> list[Waiting]:
        of_kind = self._kinds[kind]
        taken = [of_kind.popleft() for _ in range(min(most, len(of_kind)))]
        self._tidy(kind)
        return taken

    def _tidy(self, kind: Any) -> None:
        if not self._kinds[kind]:
            del self._kinds[kind]
        if not self._kinds:
            self._came.clear()
