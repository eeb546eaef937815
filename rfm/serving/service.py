"""The server without its protocol: takes requests on, reads what they send, asks the model, reloads and ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from rfm.errors import ConfigError
from rfm.ingest.episode import IngestOptions
from rfm.scoring.given_frames import Clip
from rfm.serving import reader
from rfm.serving.admission import Admission, Held
from rfm.serving.children import Child, ChildDiedError, preload
from rfm.serving.fleet import Fleet, Pace
from rfm.serving.keys import Keys
from rfm.serving.load import Load
from rfm.serving.logs import say
from rfm.serving.metrics import Metrics
from rfm.serving.options import MEGABYTE, ServeOptions
from rfm.serving.problems import Problem, not_usable
from rfm.serving.readers import Readers
from rfm.serving.replicas import Cluster
from rfm.serving.requests.clips import clip_of_npy, is_npy
from rfm.serving.workers import LocalWorker, Worker

logger = logging.getLogger(__name__)

_JUDGE = "rfm.serving.judge"
"""Imported by workers alone: it needs torch."""
_LOADING_SECONDS = 1800.0
_ANSWERING_SECONDS = 600.0


class Service:
    """What all requests share; `start` before, `stop` after."""

    def __init__(self, options: ServeOptions) -> None:
        self.options = options
        self.keys = Keys.of_file(options.api_key_file)
        self.metrics = Metrics()
        self.admission = Admission(options.max_requests, options.max_held_megabytes * MEGABYTE)
        self.bounds = reader.Bounds(options.max_frames, options.max_megapixels * 10**6, options.max_seconds)
        self.stopping = False
        self.connections: Callable[[], int] = lambda: 0
        """How many are open; who listens says how they are counted."""
        self.fleet: Fleet
        self._cluster = Cluster(options) if options.executor == "ray" else None
        self._number = 0
        self._reloading = asyncio.Lock()
        self._draining: set[asyncio.Task[None]] = set()
        self._readers = Readers(options.readers, self.bounds, options.decode_seconds, options.wait_seconds)

    async def start(self) -> None:
        """Load the model; ConfigError where that can't be done."""
        preload(*([_JUDGE] if self._cluster is None else []), reader.__name__)
        try:
            if self._cluster is not None:
                await asyncio.to_thread(self._cluster.open)
            self.fleet = await self._new_fleet()
        except BaseException:
            await self.stop()
            raise
        self.metrics.watch("rfm_workers", "Workers that can answer", lambda: self.fleet.alive)
        self.metrics.watch("rfm_waiting", "Questions in line", lambda: len(self.fleet.line))
        self.metrics.watch("rfm_requests_held", "Requests taken on", lambda: self.admission.requests)
        self.metrics.watch("rfm_bytes_held", "Bytes of the requests taken on", lambda: self.admission.bytes)

    async def stop(self) -> None:
        """End all processes; every request should have been answered."""
        fleets = [self.fleet] if hasattr(self, "fleet") else []
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, *(fleet.stop() for fleet in fleets), return_exceptions=True)
        await self._readers.stop()
        if self._cluster is not None:
            await asyncio.to_thread(self._cluster.close)

    @property
    def ready(self) -> bool:
        """Whether questions can be answered now."""
        return not self.stopping and self.fleet.alive > 0

    async def reload(self) -> bool:
        """Load what lies at `--model` now and let it answer from then on; whether it is another one than before.

        What was taken on before is answered by the model before. Problem where it can't be loaded: then that goes on.
        """
        if self._reloading.locked():
            raise Problem(409, "a reload must end before the next begins, but one is going on")
        async with self._reloading:
            try:
                fleet = await self._new_fleet()
            except ConfigError as error:
                self.metrics.reloads.labels("failed").inc()
                say(logger, logging.ERROR, "reload failed, the model before goes on", reason=str(error))
                raise Problem(409, f"{error}; the model before goes on answering") from None
            before, self.fleet = self.fleet, fleet
            task = asyncio.create_task(before.drain())
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)
            self.metrics.reloads.labels("done").inc()
            old, new = before.description.fingerprint, fleet.description.fingerprint
            say(logger, logging.INFO, "reloaded", before=old, now=new)
            return old != new

    async def clip(self, data: memoryview, name: str, options: IngestOptions, held: Held) -> Clip:
        """Return the clip that these bytes are; Problem where they are none."""
        if not data:
            raise not_usable(f"{name} must be a video, an .npy or an .npz, but is empty")
        if is_npy(data):
            clip = clip_of_npy(data, name, self.bounds)
        else:
            clip = await self._readers.read(data, name, options)
            held.take(sum(frame.nbytes for frame in clip.frames))
        self.metrics.frames.inc(len(clip))
        return clip

    async def _new_fleet(self) -> Fleet:
        options = self.options
        self._number += 1
        pace = Pace(
            options.batch_size, options.gather_ms / 1000, options.wait_seconds, _ANSWERING_SECONDS, _LOADING_SECONDS
        )
        fleet = Fleet(await self._workers(), pace, self.metrics)
        await fleet.start()
        return fleet

    async def _workers(self) -> Sequence[Worker]:
        options, number = self.options, self._number
        load = Load(options.model, options.device[0], options.threads, options.batch_size)
        if self._cluster is not None:
            return await asyncio.to_thread(self._cluster.workers, load, number, _ANSWERING_SECONDS)
        return [
            LocalWorker(replace(load, device=device), f"worker {number}.{at} on {device}")
            for at, device in enumerate(await _devices(options.device))
        ]


async def _devices(wanted: tuple[str, ...]) -> list[str]:
    """Return the devices, each with a worker of its own; looked for in a process, so that torch stays out of this."""
    if wanted != ("auto",):
        return list(wanted)
    child = Child(f"{_JUDGE}:begin_counting", None, "looking for devices")
    try:
        found: list[str] = await child.start(_LOADING_SECONDS)
    except ChildDiedError as error:
        raise ConfigError(f"`device` must be one that torch finds, but looking for it ended in: {error}") from error
    finally:
        await child.stop()
    return found
