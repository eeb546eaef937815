"""Workers on other machines: a Ray Serve deployment for each checkpoint, with a replica a worker.

The server that takes requests is the one that `rfm serve` always is, with its bounds, keys, batches and log: Ray's own
HTTP proxies bound neither heads nor bodies nor connections, and answer 500 where a replica dies. Ray Serve places the
replicas, hands each batch to one that is free, and replaces those that die. The package and the model must be there
on every machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, MissingExtraError
from rfm.ingest.executors import connect, imported_ray
from rfm.scoring.remote.description import Description
from rfm.serving.children import ChildDiedError
from rfm.serving.load import Load
from rfm.serving.logs import hand_over
from rfm.serving.options import ServeOptions
from rfm.serving.questions import Answer, Fault, Question

logger = logging.getLogger(__name__)

_DEPLOYMENT = "judge"
_LOOKING_SECONDS = 1.0
"""Between looks at how many replicas run."""
_PATIENCE = 60.0
"""Seconds after which it is said that a replica is not back yet."""
_TRIES = 3
"""Of a replica to start, before it is said that the model can't be loaded."""


class Cluster:
    """A connection to a Ray cluster, in which this server has its applications, `rfm-serve-HOST-PORT-NUMBER`."""

    def __init__(self, options: ServeOptions) -> None:
        # Ray reads it once: a call that comes after the end, from one of its own threads, would start a cluster here
        os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
        self._ray, self._count = imported_ray(), options.replicas
        try:
            from ray import serve
        except ImportError as error:
            raise MissingExtraError("--executor ray needs Ray Serve: pip install 'rfm-vqa[serve-ray]'") from error
        self.serve: Any = serve
        self._cores = max(options.threads, 1)
        self._device = options.device[0]
        self._prefix = f"rfm-serve-{socket.gethostname()}-{options.port or f'of-{os.getpid()}'}-"
        self._asking, self._closed, self._new = threading.Lock(), False, False

    def open(self) -> None:
        """Connect, and end what a server that was here before has left; ConfigError where there is no cluster."""
        hand_over("ray", "ray.serve")
        cores = 2 * self._count * self._cores  # a reload needs both models for a moment
        self._new = connect(self._ray, cores, "--device then names workers of this machine")
        self.serve.start(proxy_location="Disabled")
        hand_over("ray", "ray.serve")
        for name in self.serve.status().applications:
            if name.startswith(self._prefix):
                self.serve.delete(name)

    def close(self) -> None:
        """Let go of the cluster; one that was started for this server ends."""
        with self._asking:
            self._closed = True
            if self._new:
                self.serve.shutdown()  # else a thread of its, which goes on asking, ends the process with an error
            self._ray.shutdown()

    def application(self, name: str) -> Any:
        """Return what Ray Serve knows of an application, None where it knows none or the cluster is let go of.

        Asked without a cluster, Ray Serve would start one.
        """
        with self._asking:
            return None if self._closed else self.serve.status().applications.get(name)

    def workers(self, load: Load, number: int, answering: float) -> Sequence[ReplicaWorker]:
        """Return workers of a model, none of them started; ConfigError where no machine has what they need."""
        on_gpus = self._device != "cpu" and self._ray.cluster_resources().get("GPU", 0) >= 1
        if self._device == "cuda" and not on_gpus:
            raise ConfigError("`device` must be in the cluster, but cuda is not: it has no GPU")
        model = str(Path(load.model).absolute()) if Path(load.model).exists() else load.model
        placed = replace(load, model=model, device="cuda" if on_gpus else "cpu", threads=self._cores)
        needs = {"num_cpus": self._cores, "num_gpus": int(on_gpus)}
        replicas = _Replicas(self, placed, f"{self._prefix}{number}", self._count, needs, answering)
        return [ReplicaWorker(replicas, at, placed.device) for at in range(self._count)]

    def forget(self, application: str) -> None:
        """Forget which weights an application answers with."""
        from ray.experimental.internal_kv import _internal_kv_del

        _internal_kv_del(application.encode())

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What a question to a replica ends in that has no answer."""
        return (self._ray.exceptions.RayError, self.serve.exceptions.RayServeException)


class _Replicas:
    """The replicas of one checkpoint: an application of Ray Serve."""

    def __init__(
        self, cluster: Cluster, load: Load, name: str, count: int, needs: dict[str, int], answering: float
    ) -> None:
        self._cluster, self._load, self._name, self._count = cluster, load, name, count
        self._needs, self._answering = needs, answering
        self._starting: asyncio.Task[Description] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._handle: Any = None
        self._stopped = False
        self.running, self._problem = 0, ""

    async def start(self, seconds: float) -> Description:
        """Deploy them, for whichever worker asks first, and return what all of them hold."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._started(seconds))
        return await asyncio.shield(self._starting)

    async def ask(self, questions: Sequence[Question], seconds: float) -> Sequence[Answer]:
        """Return what a free replica answers; ChildDiedError where it died meanwhile."""
        try:  # the replica itself ends when its time is up; a little later nobody is there to say so
            return await asyncio.wait_for(_awaited(self._handle.answer.remote(list(questions))), seconds + _PATIENCE)
        except asyncio.TimeoutError:
            raise ChildDiedError(f"a replica took longer than {seconds:.0f} seconds") from None
        except self._cluster.errors as error:
            raise ChildDiedError(f"a replica has died ({type(error).__name__})") from error

    async def back(self, wanted: int) -> None:
        """Return once so many replicas run; ChildDiedError where that takes long."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._until(lambda: self.running >= wanted), _PATIENCE)
            return
        why = self._problem or "Ray Serve starts more"
        raise ChildDiedError(f"{self.running} of {self._count} replicas run; {why}")

    async def stop(self) -> None:
        """Delete the application, once, whoever asks for it."""
        if self._stopped or self._starting is None:
            return
        self._stopped = True
        for task in (self._starting, self._looking):
            if task is not None:
                task.cancel()
        await asyncio.to_thread(self._cluster.serve.delete, self._name)
        await asyncio.to_thread(self._cluster.forget, self._name)

    async def _started(self, seconds: float) -> Description:
        try:
            said = await asyncio.wait_for(asyncio.to_thread(self._deployed), seconds)
        except asyncio.TimeoutError:
            raise ConfigError(f"{self._count} replicas must start within {seconds:.0f} seconds, but did not") from None
        if isinstance(said, Fault):
            raise ConfigError(said.text)
        self.running = self._count
        self._looking = asyncio.create_task(self._look())
        return said

    def _deployed(self) -> Description | Fault:
        from rfm.serving.replica import Replica

        self._cluster.forget(self._name)
        serve = self._cluster.serve
        deployment = serve.deployment(Replica).options(
            name=_DEPLOYMENT,
            num_replicas=self._count,
            max_ongoing_requests=1,
            max_constructor_retry_count=_TRIES,
            ray_actor_options=self._needs,
        )
        failures: tuple[type[Exception], ...] = (RuntimeError, *self._cluster.errors)
        bound = deployment.bind(self._load, self._name, self._answering)
        try:
            self._handle = serve.run(bound, name=self._name, route_prefix=None)
            said: Description | Fault = self._handle.describe.remote().result()
        except failures as error:
            raise ConfigError(f"{self._count} replicas must start, but: {self._state()[1] or error}") from error
        return said

    async def _look(self) -> None:
        away: tuple[type[Exception], ...] = (RuntimeError, OSError, *self._cluster.errors)
        while True:
            await asyncio.sleep(_LOOKING_SECONDS)
            try:
                self.running, self._problem = await asyncio.to_thread(self._state)
            except away as error:
                self.running, self._problem = 0, f"the cluster says {error}"

    def _state(self) -> tuple[int, str]:
        """Return how many replicas run, and what Ray Serve says of the others."""
        application = self._cluster.application(self._name)
        if application is None or _DEPLOYMENT not in application.deployments:
            return 0, "Ray Serve has no such application any more"
        deployment = application.deployments[_DEPLOYMENT]
        return int(deployment.replica_states.get("RUNNING", 0)), str(deployment.message)

    async def _until(self, there: Callable[[], bool]) -> None:
        while not there():
            await asyncio.sleep(_LOOKING_SECONDS)


class ReplicaWorker:
    """A place for one batch at a time among the replicas; it works for as long as so many of them run."""

    def __init__(self, replicas: _Replicas, at: int, device: str) -> None:
        self._replicas, self._at, self.device, self.name = replicas, at, device, f"replica {at}"
        self.busy = False

    @property
    def alive(self) -> bool:
        """See `Worker.alive`."""
        return self._replicas.running > self._at

    async def start(self, seconds: float) -> Description:
        """See `Worker.start`."""
        return await self._replicas.start(seconds)

    async def ask(self, questions: Sequence[Question], seconds: float) -> Sequence[Answer]:
        """See `Worker.ask`."""
        return await self._replicas.ask(questions, seconds)

    async def again(self, seconds: float, fingerprint: str) -> None:
        """See `Worker.again`; Ray Serve starts it, and `Replica` sees to its fingerprint."""
        await self._replicas.back(self._at + 1)

    async def stop(self) -> None:
        """See `Worker.stop`."""
        await self._replicas.stop()


async def _awaited(response: Awaitable[Any]) -> Any:
    return await response
