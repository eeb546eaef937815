"""`AsyncRewardClient`: the client of a server for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, overload

from typing_extensions import Self

from rfm.frames.spacing import EVENLY
from rfm.scoring.forms import Asked, check_points
from rfm.scoring.records import Curve, Preference, Progress
from rfm.scoring.remote.calls import Call, StaleModelError
from rfm.scoring.remote.connection import (
    BROKEN,
    MODELS,
    RELOADS,
    Connection,
    Prepare,
    Record,
    curve_calls,
    described,
    httpx,
    preference_calls,
    progress_calls,
)
from rfm.scoring.remote.description import Description
from rfm.vqa.prompts import ROBOT


class AsyncRewardClient(Connection):
    """A `RewardClient` for asyncio: `await client.progress(…)`; many may be under way at once."""

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
            self._known = described(await self._carried("GET", MODELS))
        return self._known

    @overload
    async def progress(self, frames: Any, task: str, *, actor: str = ...) -> Progress: ...
    @overload
    async def progress(self, frames: Any, *, tasks: Sequence[str], actor: str = ...) -> list[Progress]: ...
    async def progress(
        self, frames: Any, task: str | None = None, *, tasks: Sequence[str] | None = None, actor: str = ROBOT
    ) -> Progress | list[Progress]:
        """See `RewardModel.progress`."""
        wanted = Asked.of(task, tasks, actor)
        return wanted.answer(await self._answers(progress_calls(wanted, frames, actor)))

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
        wanted = Asked.of(task, tasks, actor)
        return wanted.answer(await self._answers(curve_calls(wanted, frames, actor, points, frame_choice)))

    @overload
    async def prefer(self, a: Any, b: Any, task: str, *, actor: str = ...) -> Preference: ...
    @overload
    async def prefer(self, a: Any, b: Any, *, tasks: Sequence[str], actor: str = ...) -> list[Preference]: ...
    async def prefer(
        self, a: Any, b: Any, task: str | None = None, *, tasks: Sequence[str] | None = None, actor: str = ROBOT
    ) -> Preference | list[Preference]:
        """See `RewardModel.prefer`."""
        wanted = Asked.of(task, tasks, actor)
        return wanted.answer(await self._answers(preference_calls(wanted, a, b, actor)))

    async def _answers(self, prepare: Prepare[Record]) -> list[Record]:
        for _ in range(RELOADS):
            calls = await asyncio.to_thread(prepare, await self.description())
            try:
                return list(await asyncio.gather(*map(self._asked, calls)))
            except StaleModelError:
                self._known = None
        raise self.replaced()

    async def _asked(self, call: Call[Record]) -> Record:
        return call.read(await self._carried("POST", call.path, **self.form(call)))

    async def _carried(self, method: str, path: str, **content: Any) -> Any:
        with self.reaching():
            for tries in range(self._retries + 1):
                answer = None
                try:
                    answer = await self._http.request(method, path, **content)
                except BROKEN:
                    if tries == self._retries:
                        raise
                if self.answers(answer, tries):
                    break
                await asyncio.sleep(self.pause(tries, answer))
        assert answer is not None
        return self.read(answer)
