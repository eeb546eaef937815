"""Who answers batches of questions: what every worker can do, and the one that is a process of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rfm.errors import ConfigError
from rfm.scoring.remote.description import Description
from rfm.serving.children import Child, ChildDiedError
from rfm.serving.load import Load
from rfm.serving.questions import Answer, Fault, Question

OTHER_WEIGHTS = "the checkpoint on the disk is another one by now; reload takes it for all workers"


class Worker(Protocol):
    """One that holds a model; it answers one batch at a time."""

    name: str
    device: str
    busy: bool

    @property
    def alive(self) -> bool:
        """Whether it can answer, as far as is known."""

    async def start(self, seconds: float) -> Description:
        """Load the model; ConfigError or ChildDiedError where that can't be done."""

    async def ask(self, questions: Sequence[Question], seconds: float) -> Sequence[Answer]:
        """Return an answer a question; ChildDiedError where it dies before, or is ended for taking too long."""

    async def again(self, seconds: float, fingerprint: str) -> None:
        """Be there again with this very model after it died; ConfigError or ChildDiedError where that can't be."""

    async def stop(self) -> None:
        """End it."""


class LocalWorker:
    """A worker that is a process of this machine."""

    def __init__(self, load: Load, name: str) -> None:
        self._load, self.device, self.name = load, load.device, name
        self._child: Child | None = None
        self.busy = False

    @property
    def alive(self) -> bool:
        """See `Worker.alive`."""
        return self._child is not None and self._child.alive

    async def start(self, seconds: float) -> Description:
        """See `Worker.start`."""
        self._child = Child("rfm.serving.judge:begin", self._load, self.name)
        said = await self._child.start(seconds)
        if isinstance(said, Fault):
            await self.stop()
            raise ConfigError(said.text)
        return said

    async def ask(self, questions: Sequence[Question], seconds: float) -> Sequence[Answer]:
        """See `Worker.ask`."""
        if self._child is None:
            raise ChildDiedError(f"{self.name} has died")
        answers: list[Any] = await self._child.ask(list(questions), seconds)
        return answers

    async def again(self, seconds: float, fingerprint: str) -> None:
        """See `Worker.again`."""
        await self.stop()
        said = await self.start(seconds)
        if said.fingerprint != fingerprint:
            await self.stop()
            raise ConfigError(OTHER_WEIGHTS)

    async def stop(self) -> None:
        """See `Worker.stop`."""
        child, self._child = self._child, None
        if child is not None:
            await child.stop()
