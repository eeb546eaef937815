"""The workers of one checkpoint, one a device, and the line before them.

A fleet answers with one checkpoint for as long as it lives; a reload starts another one and lets this one finish what
it has taken on, so that no answer is put together from two.

A worker that dies loses its batch: these requests end in 503, nothing is asked twice behind anybody's back. It is
started anew, at once the first time, later and later if it goes on dying. One that dies while it has nothing to do
loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from rfm.errors import ConfigError
from rfm.scoring.records import Curve, Preference
from rfm.scoring.remote.description import Description
from rfm.serving.children import ChildDiedError
from rfm.serving.line import Line, Waiting
from rfm.serving.logs import say
from rfm.serving.metrics import Metrics
from rfm.serving.problems import Problem, not_usable, unavailable
from rfm.serving.questions import Answer, Fault, Question
from rfm.serving.workers import Worker

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 60.0
_AFTER_A_FAULT = 1.0


@dataclass(frozen=True)
class Pace:
    """How workers are fed."""

    batch: int
    """Questions of a batch, at most."""
    gather: float
    """Seconds for which the first waits for others of its kind."""
    waiting: float
    """Seconds in line after which a question is given up."""
    answering: float
    """Seconds a batch may take; then its worker is ended."""
    loading: float
    """Seconds until a worker must have loaded its model."""


class Fleet:
    """Workers that answer the questions put to `answer`."""

    def __init__(self, workers: Sequence[Worker], pace: Pace, metrics: Metrics) -> None:
        self.workers = workers
        self.description: Description
        self.line = Line()
        self._pace, self._metrics = pace, metrics
        self._users = 0
        self._left = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load the model everywhere; ConfigError where that can't be done, and nothing is left running."""
        try:
            started = await asyncio.gather(*(worker.start(self._pace.loading) for worker in self.workers))
        except (ConfigError, ChildDiedError) as error:
            await self.stop()
            raise ConfigError(f"`model` must be one that answers: {error}") from error
        self.description = started[0]
        self._loops = [asyncio.create_task(self._work(worker)) for worker in self.workers]

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[Fleet]:
        """Keep the fleet until a request has all its answers."""
        self._users += 1
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._left.set()

    async def answer(self, question: Question) -> Curve | Preference:
        """Return the answer; Problem where there is none. Cancelled, the question leaves the line."""
        waiting = self.line.add(question)
        try:
            said = await self._waited(waiting)
        finally:
            self.line.drop(waiting)
        if isinstance(said, Fault):
            raise Problem(500, said.text) if said.ours else not_usable(said.text)
        return said

    async def drain(self) -> None:
        """Wait until nobody needs the fleet any more, and end it."""
        while self._users:
            self._left.clear()
            await self._left.wait()
        await self.stop()

    async def stop(self) -> None:
        """End all workers."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self.workers))

    @property
    def alive(self) -> int:
        """Workers that can answer."""
        return sum(worker.alive for worker in self.workers)

    @property
    def idle(self) -> int:
        """Workers that wait for a question."""
        return sum(worker.alive and not worker.busy for worker in self.workers)

    async def _waited(self, waiting: Waiting) -> Answer:
        try:  # the worker may be answering when the time is up: then its answer is not waited for
            return await asyncio.wait_for(waiting.answer, self._pace.waiting)
        except asyncio.TimeoutError:
            raise unavailable(f"no worker came to it within {self._pace.waiting:.0f} seconds; ask again", 5) from None

    async def _work(self, worker: Worker) -> None:
        while True:
            try:
                await self._turn(worker)
            except Exception:  # a fault of ours: a worker that is fed no more would be lost without a word
                logger.exception("a worker could not be fed")
                await asyncio.sleep(_AFTER_A_FAULT)

    async def _turn(self, worker: Worker) -> None:
        batch = await self.line.batch(self._pace.batch, self._pace.gather)
        if not worker.alive:
            self.line.give_back(batch)  # to those that are there: it may be long until this one is
            await self._replace(worker, "it was not there any more", lost=0)
        elif batch:
            await self._answer(worker, batch)

    async def _answer(self, worker: Worker, batch: Sequence[Waiting]) -> None:
        worker.busy = True
        self._metrics.batch.observe(len(batch))
        try:
            answers = await worker.ask([one.question for one in batch], self._pace.answering)
        except Exception as error:
            reason = str(error)
            if not isinstance(error, ChildDiedError):
                logger.exception("a batch could not be asked")
                reason = f"{worker.name} failed"
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(unavailable(f"{reason} while it answered; ask again", 1))
            await self._replace(worker, reason, lost=len(batch))
            return
        finally:
            worker.busy = False
        for one, answer in zip(batch, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)

    async def _replace(self, worker: Worker, reason: str, lost: int) -> None:
        self._metrics.deaths.inc()
        say(logger, logging.ERROR, "a worker died", worker=worker.name, reason=reason, lost=lost)
        pause = 0.0
        while True:
            try:
                await worker.again(self._pace.loading, self.description.fingerprint)
            except (ConfigError, ChildDiedError) as error:
                reason = str(error)
            else:
                say(logger, logging.INFO, "a worker is there again", worker=worker.name)
                return
            pause = min(2 * pause + 1, _LONGEST_PAUSE)
            say(logger, logging.ERROR, "a worker can't be started", worker=worker.name, reason=reason, again_in=pause)
            await asyncio.sleep(pause)
