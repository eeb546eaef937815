"""A process that answers one thing at a time over a pipe, and that may die without taking the server with it.

Children are forked from a process that has imported what they need and has done nothing else (`forkserver`), so that
one is there again a moment after it was killed. They ignore the signals that end the server, which goes on asking them
until what it has accepted is answered, and end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from rfm.processes import die_with_parent
from rfm.serving.logs import set_up_logs

logger = logging.getLogger(__name__)

Begin: TypeAlias = Callable[[Any], tuple[Any, Callable[[Any], Any]]]
"""What a child is: begun with its settings, it says something and returns how it answers messages."""
_PATIENCE = 5.0
"""Seconds within which a child that is told to end ends."""


class ChildDiedError(Exception):
    """A child that ended before it answered."""


class Child:
    """One process; `begin` is the name of a `Begin`, `module:function`, which is imported there and not here."""

    def __init__(self, begin: str, settings: Any, name: str) -> None:
        self._begin, self._settings, self.name = begin, settings, name
        self._thread = ThreadPoolExecutor(1, name)
        self._process: Any = None
        self._pipe: Any = None

    @property
    def pid(self) -> int | None:
        """The number of the process; None where there is none."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is there, as far as is known."""
        return self._process is not None and self._process.is_alive()

    async def start(self, seconds: float) -> Any:
        """Start the process and return the first thing it says; ChildDiedError where it says nothing."""
        return await self._within(seconds, self._started)

    async def ask(self, message: Any, seconds: float) -> Any:
        """Return the answer; ChildDiedError where the process dies before, or is ended for taking too long."""
        return await self._within(seconds, self._asked, message)

    async def stop(self) -> None:
        """End the process: at once where it is idle, by force where it is not."""
        if self._pipe is not None:
            self._pipe.close()
        process = self._process
        if process is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, process.join, _PATIENCE)
            self.kill()
        self._thread.shutdown(wait=False)

    def kill(self) -> None:
        """End the process by force; what it was asked ends in ChildDiedError."""
        if self._process is not None:
            self._process.kill()

    async def _within(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> Any:
        waiting = asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), seconds)
        except asyncio.TimeoutError:
            self.kill()
            with contextlib.suppress(ChildDiedError):
                return await waiting  # it may just have answered
            raise ChildDiedError(f"{self.name} took longer than {seconds:.0f} seconds and was ended") from None

    def _started(self) -> Any:
        context = multiprocessing.get_context("forkserver")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_child, args=(theirs, self._begin, self._settings), name=self.name, daemon=True
        )
        self._process.start()
        theirs.close()
        return self._received()

    def _asked(self, message: Any) -> Any:
        try:
            self._pipe.send(message)
        except OSError as error:
            raise ChildDiedError(f"{self.name} has died") from error
        return self._received()

    def _received(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise ChildDiedError(f"{self.name} has died") from error


def preload(*modules: str) -> None:
    """Name what children import once for all of them; before the first is started."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))


def _child(pipe: Connection, name: str, settings: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    die_with_parent()
    set_up_logs()
    module, _, function = name.partition(":")
    begin: Begin = getattr(importlib.import_module(module), function)
    said, answer = begin(settings)
    pipe.send(said)
    while True:
        try:
            message = pipe.recv()
        except EOFError:  # the server is done
            return
        pipe.send(answer(message))
