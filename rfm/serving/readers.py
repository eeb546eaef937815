"""The processes that decode files, one file at a time each; a file that ends its reader, or delays it, fails alone."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rfm.ingest.episode import IngestOptions
from rfm.scoring.given_frames import Clip
from rfm.serving import reader
from rfm.serving.children import Child, ChildDiedError
from rfm.serving.logs import say
from rfm.serving.problems import not_usable, unavailable
from rfm.serving.questions import Fault
from rfm.serving.requests.clips import is_npz

logger = logging.getLogger(__name__)

READER_MEMORY = 2**31
"""Bytes that decoding one file may take."""
_STARTING_SECONDS = 1800.0


class Readers:
    """So many readers; each is started when a file needs it, and anew after a file that ended it."""

    def __init__(self, count: int, bounds: reader.Bounds, seconds: float, waiting: float) -> None:
        self._bounds, self._seconds, self._waiting = bounds, seconds, waiting
        self._folder = Path(tempfile.mkdtemp(prefix="rfm-serve-"))
        self._idle: asyncio.Queue[Child | None] = asyncio.Queue()
        for _ in range(count):
            self._idle.put_nowait(None)

    async def read(self, data: memoryview, name: str, options: IngestOptions) -> Clip:
        """Return the clip that a file holds; Problem where it holds none."""
        path = self._folder / (uuid.uuid4().hex + (reader.NPZ_SUFFIX if is_npz(data) else ".video"))
        try:
            async with self._one() as child:
                await asyncio.to_thread(path.write_bytes, data)
                said = await child.ask(reader.Received(path, name, self._bounds, options), self._seconds)
        except ChildDiedError as error:
            say(logger, logging.WARNING, "a file ended its reader", reason=str(error))
            raise not_usable(
                f"{name} must be decodable in {self._seconds:.0f} seconds and {READER_MEMORY} bytes of memory, "
                "but is not"
            ) from None
        except OSError as error:
            say(logger, logging.ERROR, "a file can't be kept", reason=str(error))
            raise unavailable("there must be room on the server's disk, but there is none", 60) from None
        finally:
            with suppress(OSError):
                path.unlink()
        if isinstance(said, Fault):
            raise not_usable(said.text)
        return said

    async def stop(self) -> None:
        """End them; none should be reading any more."""
        while not self._idle.empty():
            child = self._idle.get_nowait()
            if child is not None:
                await child.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[Child]:
        """A reader for one file; one that has not come to its end is ended."""
        try:
            child = await asyncio.wait_for(self._idle.get(), self._waiting)
        except asyncio.TimeoutError:
            raise unavailable(f"no reader came to it within {self._waiting:.0f} seconds; ask again", 5) from None
        try:
            if child is None:
                child = Child(f"{reader.__name__}:begin", READER_MEMORY, "reader")
                await child.start(_STARTING_SECONDS)
            yield child
        except (ChildDiedError, asyncio.CancelledError):
            dead, child = child, None
            if dead is not None:
                dead.kill()
                await dead.stop()
            raise
        finally:
            self._idle.put_nowait(child)
