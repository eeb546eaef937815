"""`RewardClient`: a reward model on another machine, with the methods of one in this process, and `AsyncRewardClient`.

Questions change nothing, so that a request that was refused for the moment (429, 503) or whose connection broke is sent
again, after as long as the server says. What does not answer then is an error; no value is ever made up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, overload

import numpy as np
from jaxtyping import UInt8
from typing_extensions import Self

from rfm.errors import ConfigError, MissingExtraError, ServerError
from rfm.frames.spacing import EVENLY
from rfm.ingest.episode import IngestOptions
from rfm.scoring.forms import check_points, texts_of
from rfm.scoring.given_frames import Clip, clips_for
from rfm.scoring.records import Curve, Preference, Progress
from rfm.scoring.remote.calls import (
    RETRIED,
    Call,
    StaleModelError,
    curve_call,
    preference_call,
    progress_call,
    read_answer,
)
from rfm.scoring.remote.description import Description
from rfm.scoring.success import SuccessRule
from rfm.scoring.tracker import Tracker
from rfm.vqa.prompts import ROBOT

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("asking a server needs httpx: pip install 'rfm-vqa[client]'") from error

Record = TypeVar("Record")
Prepare = Callable[[Description], Sequence[Call[Record]]]
"""Makes the requests once it is known which model they go to."""
_MODELS = "/v1/models"
_LONGEST_PAUSE = 60.0
_RELOADS = 3
"""Times that a model may be replaced while one question is asked."""


class _Client:
    """What both clients share: where the server is, how often it is asked, and what is known of its model."""

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout: float = 120.0, retries: int = 5, connections: int = 16
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"`url` must begin with http:// or https://, but is {url!r}")
        if retries < 0 or connections < 1:
            raise ConfigError(
                f"`retries` must be at least 0 and `connections` at least 1, but are {retries} and {connections}"
            )
        self.url = url.rstrip("/")
        self._retries, self._connections = retries, connections
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._settings: dict[str, Any] = {"timeout": timeout, "headers": headers, "limits": limits}
        self._known: Description | None = None

    def _pause(self, tries: int, answer: httpx.Response | None) -> float:
        """Seconds until the next try: what the server says, or longer each time; never all clients at once."""
        said = answer.headers.get("retry-after", "") if answer is not None else ""
        seconds = float(said) if said.isdecimal() else 0.1 * 2**tries
        return min(seconds, _LONGEST_PAUSE) * random.uniform(0.75, 1.25)

    def _form(self, call: Call[Any]) -> dict[str, Any]:
        files = {name: (f"{name}.npy", data, "application/octet-stream") for name, data in call.files.items()}
        return {"data": call.fields, "files": files}

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise ServerError(f"the server at {self.url} must answer within the timeout, but did not") from error
        except httpx.HTTPError as error:
            raise ServerError(f"the server at {self.url} must be reachable, but is not: {error}") from error


_BROKEN = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""How a connection breaks; nothing is known of the answer then, and none was given."""


class RewardClient(_Client):
    """A reward model behind `rfm serve`, to be used as a `RewardModel` is.

    `connections` are the requests that are under way at once. Errors are those of a `RewardModel`, and `ServerError`.
    """

    def __init__(self, url: str, api_key: str | None = None, **settings: Any) -> None:
        super().__init__(url, api_key, **settings)
        self._http = httpx.Client(base_url=self.url, **self._settings)
        self._threads = ThreadPoolExecutor(self._connections, "reward client")

    def close(self) -> None:
        """Let go of the connections."""
        self._threads.shutdown(cancel_futures=True)
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def description(self) -> Description:
        """The server's model, asked for once."""
        if self._known is None:
            self._known = _described(self._carried("GET", _MODELS))
        return self._known

    @property
    def name(self) -> str:
        """What the server calls its model."""
        return self.description.name

    @property
    def max_frames(self) -> int:
        """Frames shown of a clip, at most."""
        return self.description.max_frames

    @property
    def discrete(self) -> bool:
        """Whether the model answers in five levels."""
        return self.description.discrete

    @property
    def success(self) -> SuccessRule:
        """When a robot counts as having succeeded."""
        return self.description.success

    @property
    def reading(self) -> IngestOptions:
        """How files are read."""
        return self.description.reading

    def as_shown(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
        """Return frames in the size in which the model sees them, where that is the same for any number of them."""
        seen = self.description.seen_as
        return frames if seen is None else seen.resized(frames)

    @overload
    def progress(self, frames: Any, task: str, *, actor: str = ..., batch_size: int = ...) -> Progress: ...
    @overload
    def progress(
        self, frames: Any, *, tasks: Sequence[str], actor: str = ..., batch_size: int = ...
    ) -> list[Progress]: ...
    def progress(
        self,
        frames: Any,
        task: str | None = None,
        *,
        tasks: Sequence[str] | None = None,
        actor: str = ROBOT,
        batch_size: int = 16,
    ) -> Progress | list[Progress]:
        """See `RewardModel.progress`; `batch_size` requests are sent at a time, at most."""
        texts = texts_of(task, tasks)
        clips = clips_for(frames, texts, self.reading, one=tasks is None)
        found = self._answers(_progress(clips, texts, actor), batch_size)
        return found if task is None else found[0]

    @overload
    def curve(
        self,
        frames: Any,
        task: str,
        *,
        points: int | None = ...,
        frame_choice: str = ...,
        actor: str = ...,
        batch_size: int = ...,
    ) -> Curve: ...
    @overload
    def curve(
        self,
        frames: Any,
        *,
        tasks: Sequence[str],
        points: int | None = ...,
        frame_choice: str = ...,
        actor: str = ...,
        batch_size: int = ...,
    ) -> list[Curve]: ...
    def curve(
        self,
        frames: Any,
        task: str | None = None,
        *,
        tasks: Sequence[str] | None = None,
        points: int | None = None,
        frame_choice: str = EVENLY,
        actor: str = ROBOT,
        batch_size: int = 16,
    ) -> Curve | list[Curve]:
        """See `RewardModel.curve`; `batch_size` requests are sent at a time, at most."""
        check_points(points, frame_choice)
        texts = texts_of(task, tasks)
        clips = clips_for(frames, texts, self.reading, one=tasks is None)
        found = self._answers(_curves(clips, texts, actor, points, frame_choice), batch_size)
        return found if task is None else found[0]

    @overload
    def prefer(self, a: Any, b: Any, task: str, *, actor: str = ..., batch_size: int = ...) -> Preference: ...
    @overload
    def prefer(
        self, a: Any, b: Any, *, tasks: Sequence[str], actor: str = ..., batch_size: int = ...
    ) -> list[Preference]: ...
    def prefer(
        self,
        a: Any,
        b: Any,
        task: str | None = None,
        *,
        tasks: Sequence[str] | None = None,
        actor: str = ROBOT,
        batch_size: int = 16,
    ) -> Preference | list[Preference]:
        """See `RewardModel.prefer`; `batch_size` requests are sent at a time, at most."""
        texts = texts_of(task, tasks)
        one, reading = tasks is None, self.reading
        first, second = [clips_for(side, texts, reading, one=one, name=name) for side, name in _sides(a, b)]
        found = self._answers(_preferences(first, second, texts, actor), batch_size)
        return found if task is None else found[0]

    def tracker(self, task: str, *, actor: str = ROBOT) -> Tracker:
        """Return what judges a robot while it moves, frame by frame."""
        return Tracker(self, task, actor)

    def reload(self) -> bool:
        """Have the server load its checkpoint anew; whether it is another one. Never sent twice."""
        with self._reaching():
            answer = self._http.post("/v1/reload", timeout=None)
        self._known = None
        return bool(read_answer(answer.status_code, answer.content)["changed"])

    def _answers(self, prepare: Prepare[Record], at_once: int) -> list[Record]:
        """Ask everything; all of it anew where the model is replaced meanwhile: no list is of two models."""
        if at_once < 1:
            raise ConfigError(f"`batch_size` must be >= 1, but is {at_once}")
        for _ in range(_RELOADS):
            try:
                return self._all(prepare(self.description), at_once)
            except StaleModelError:
                self._known = None
        raise ServerError(f"the server at {self.url} must keep a model for a while, but replaced it {_RELOADS} times")

    def _all(self, calls: Sequence[Call[Record]], at_once: int) -> list[Record]:
        if len(calls) == 1:
            return [self._asked(calls[0])]
        found: list[Record] = []
        for start in range(0, len(calls), at_once):
            found += self._threads.map(self._asked, calls[start : start + at_once])
        return found

    def _asked(self, call: Call[Record]) -> Record:
        return call.read(self._carried("POST", call.path, **self._form(call)))

    def _carried(self, method: str, path: str, **content: Any) -> Any:
        with self._reaching():
            for tries in range(self._retries + 1):
                answer = None
                try:
                    answer = self._http.request(method, path, **content)
                except _BROKEN:
                    if tries == self._retries:
                        raise
                if answer is not None and (answer.status_code not in RETRIED or tries == self._retries):
                    break
                time.sleep(self._pause(tries, answer))
        assert answer is not None
        return read_answer(answer.status_code, answer.content)


class AsyncRewardClient(_Client):
    """The same for asyncio: `await client.progress(…)`; many may be under way at once."""

    def __init__(self, url: str, api_key: str | None = None, **settings: Any) -> None:
        super().__init__(url, api_key, **settings)
        self._http = httpx.AsyncClient(base_url=self.url, **self._settings)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def description(self) -> Description:
        """Return the server's model, asked for once."""
        if self._known is None:
            self._known = _described(await self._carried("GET", _MODELS))
        return self._known

    @overload
    async def progress(self, frames: Any, task: str, *, actor: str = ...) -> Progress: ...
    @overload
    async def progress(self, frames: Any, *, tasks: Sequence[str], actor: str = ...) -> list[Progress]: ...
    async def progress(
        self, frames: Any, task: str | None = None, *, tasks: Sequence[str] | None = None, actor: str = ROBOT
    ) -> Progress | list[Progress]:
        """See `RewardModel.progress`."""
        texts = texts_of(task, tasks)
        reading = (await self.description()).reading
        clips = await asyncio.to_thread(clips_for, frames, texts, reading, one=tasks is None)
        found = await self._answers(_progress(clips, texts, actor))
        return found if task is None else found[0]

    @overload
    async def curve(
        self, frames: Any, task: str, *, points: int | None = ..., frame_choice: str = ..., actor: str = ...
    ) -> Curve: ...
    @overload
    async def curve(
        self,
        frames: Any,
        *,
        tasks: Sequence[str],
        points: int | None = ...,
        frame_choice: str = ...,
        actor: str = ...,
    ) -> list[Curve]: ...
    async def curve(
        self,
        frames: Any,
        task: str | None = None,
        *,
        tasks: Sequence[str] | None = None,
        points: int | None = None,
        frame_choice: str = EVENLY,
        actor: str = ROBOT,
    ) -> Curve | list[Curve]:
        """See `RewardModel.curve`."""
        check_points(points, frame_choice)
        texts = texts_of(task, tasks)
        reading = (await self.description()).reading
        clips = await asyncio.to_thread(clips_for, frames, texts, reading, one=tasks is None)
        found = await self._answers(_curves(clips, texts, actor, points, frame_choice))
        return found if task is None else found[0]

    @overload
    async def prefer(self, a: Any, b: Any, task: str, *, actor: str = ...) -> Preference: ...
    @overload
    async def prefer(self, a: Any, b: Any, *, tasks: Sequence[str], actor: str = ...) -> list[Preference]: ...
    async def prefer(
        self, a: Any, b: Any, task: str | None = None, *, tasks: Sequence[str] | None = None, actor: str = ROBOT
    ) -> Preference | list[Preference]:
        """See `RewardModel.prefer`."""
        texts = texts_of(task, tasks)
        reading = (await self.description()).reading
        first, second = [
            await asyncio.to_thread(clips_for, side, texts, reading, one=tasks is None, name=name)
            for side, name in _sides(a, b)
        ]
        found = await self._answers(_preferences(first, second, texts, actor))
        return found if task is None else found[0]

    async def _answers(self, prepare: Prepare[Record]) -> list[Record]:
        for _ in range(_RELOADS):
            calls = prepare(await self.description())
            try:
                return list(await asyncio.gather(*map(self._asked, calls)))
            except StaleModelError:
                self._known = None
        raise ServerError(f"the server at {self.url} must keep a model for a while, but replaced it {_RELOADS} times")

    async def _asked(self, call: Call[Record]) -> Record:
        return call.read(await self._carried("POST", call.path, **self._form(call)))

    async def _carried(self, method: str, path: str, **content: Any) -> Any:
        with self._reaching():
            for tries in range(self._retries + 1):
                answer = None
                try:
                    answer = await self._http.request(method, path, **content)
                except _BROKEN:
                    if tries == self._retries:
                        raise
                if answer is not None and (answer.status_code not in RETRIED or tries == self._retries):
                    break
                await asyncio.sleep(self._pause(tries, answer))
        assert answer is not None
        return read_answer(answer.status_code, answer.content)


def _described(said: Any) -> Description:
    models = said.get("models") if isinstance(said, dict) else None
    if not isinstance(models, list) or len(models) != 1:
        raise ServerError(f"a server must describe its model, but says {str(said)[:200]}")
    return Description.from_json(models[0])


def _sides(a: Any, b: Any) -> tuple[tuple[Any, str], ...]:
    return (a, "`a`"), (b, "`b`")


def _progress(clips: Sequence[Clip], texts: Sequence[str], actor: str) -> Prepare[Progress]:
    return lambda model: [progress_call(clip, text, actor, model) for clip, text in zip(clips, texts, strict=True)]


def _curves(
    clips: Sequence[Clip], texts: Sequence[str], actor: str, points: int | None, frame_choice: str
) -> Prepare[Curve]:
    return lambda model: [
        curve_call(clip, text, actor, model, points, frame_choice) for clip, text in zip(clips, texts, strict=True)
    ]


def _preferences(a: Sequence[Clip], b: Sequence[Clip], texts: Sequence[str], actor: str) -> Prepare[Preference]:
    return lambda model: [
        preference_call(first, second, text, actor, model) for first, second, text in zip(a, b, texts, strict=True)
    ]
