"""`RewardClient`: a reward model on another machine, with the methods of one in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, overload

import numpy as np
from jaxtyping import UInt8
from typing_extensions import Self

from rfm.frames.spacing import EVENLY
from rfm.ingest.episode import IngestOptions
from rfm.scoring.counts import check_batch_size
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
from rfm.scoring.seen_as import SeenAs
from rfm.scoring.success import SuccessRule
from rfm.scoring.tracker import Tracker
from rfm.vqa.prompts import ROBOT


class RewardClient(Connection):
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
            self._known = described(self._carried("GET", MODELS))
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

    @property
    def seen_as(self) -> SeenAs | None:
        """See `RewardModel.seen_as`."""
        return self.description.seen_as

    def as_shown(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
        """See `RewardModel.as_shown`."""
        return self.description.as_shown(frames)

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
        wanted = Asked.of(task, tasks, actor)
        return wanted.answer(self._answers(progress_calls(wanted, frames, actor), batch_size))

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
        wanted = Asked.of(task, tasks, actor)
        return wanted.answer(self._answers(curve_calls(wanted, frames, actor, points, frame_choice), batch_size))

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
        wanted = Asked.of(task, tasks, actor)
        return wanted.answer(self._answers(preference_calls(wanted, a, b, actor), batch_size))

    def tracker(self, task: str, *, actor: str = ROBOT) -> Tracker:
        """Return what judges a robot while it moves, frame by frame."""
        return Tracker(self, task, actor)

    def reload(self) -> bool:
        """Have the server load its checkpoint anew; whether it is another one. Never sent twice."""
        with self.reaching():
            answer = self._http.post("/v1/reload", timeout=None)
        self._known = None
        return bool(self.read(answer)["changed"])

    def _answers(self, prepare: Prepare[Record], at_once: int) -> list[Record]:
        """Ask everything; all of it anew, reading included, where the model is replaced: no list is of two models."""
        check_batch_size(at_once)
        for _ in range(RELOADS):
            try:
                return self._all(prepare(self.description), at_once)
            except StaleModelError:
                self._known = None
        raise self.replaced()

    def _all(self, calls: Sequence[Call[Record]], at_once: int) -> list[Record]:
        if len(calls) == 1:
            return [self._asked(calls[0])]
        found: list[Record] = []
        for start in range(0, len(calls), at_once):
            found += self._threads.map(self._asked, calls[start : start + at_once])
        return found

    def _asked(self, call: Call[Record]) -> Record:
        return call.read(self._carried("POST", call.path, **self.form(call)))

    def _carried(self, method: str, path: str, **content: Any) -> Any:
        with self.reaching():
            for tries in range(self._retries + 1):
                answer = None
                try:
                    answer = self._http.request(method, path, **content)
                except BROKEN:
                    if tries == self._retries:
                        raise
                if self.answers(answer, tries):
                    break
                time.sleep(self.pause(tries, answer))
        assert answer is not None
        return self.read(answer)
