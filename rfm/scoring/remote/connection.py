"""What both clients share: where the server is, what is known of its model, what is sent, and when it is sent again.

Questions change nothing, so that a request that was refused for the moment (429, 503) or whose connection broke is sent
again, after as long as the server says. What does not answer then is an error; no value is ever made up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rfm.errors import ConfigError, MissingExtraError, ServerError
from rfm.scoring.forms import Asked
from rfm.scoring.records import Curve, Preference, Progress
from rfm.scoring.remote.calls import RETRIED, Call, curve_call, preference_call, progress_call, read_answer
from rfm.scoring.remote.description import Description

try:
    import httpx as httpx  # the other modules of this folder take it from here
except ImportError as error:
    raise MissingExtraError("asking a server needs httpx: pip install 'rfm-vqa[client]'") from error

Record = TypeVar("Record")
Prepare = Callable[[Description], Sequence[Call[Record]]]
"""Makes the requests to a model out of what the caller gave: files are read in the size that it sees."""
MODELS = "/v1/models"
RELOADS = 3
"""Times that a model may be replaced while one question is asked."""
_LONGEST_PAUSE = 60.0


BROKEN = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""How a connection breaks; nothing is known of the answer then, and none was given."""


class Connection:
    """A server, how often it is asked, and what is known of its model."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = 120.0,
        retries: int = 5,
        connections: int = 16,
        key_name: str = "api_key",
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"`url` must begin with http:// or https://, but is {url!r}")
        if retries < 0 or connections < 1:
            raise ConfigError(
                f"`retries` must be at least 0 and `connections` at least 1, but are {retries} and {connections}"
            )
        self.url = url.rstrip("/")
        self._retries, self._connections = retries, connections
        self._key_name = key_name
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._settings: dict[str, Any] = {"timeout": timeout, "headers": headers, "limits": limits}
        self._known: Description | None = None

    def pause(self, tries: int, answer: httpx.Response | None) -> float:
        """Seconds until the next try: what the server says, or longer each time; never all clients at once."""
        said = answer.headers.get("retry-after", "") if answer is not None else ""
        seconds = float(said) if said.isdecimal() else 0.1 * 2**tries
        return min(seconds, _LONGEST_PAUSE) * random.uniform(0.75, 1.25)

    def replaced(self) -> ServerError:
        """Return the error of a model that does not stay."""
        return ServerError(f"the server at {self.url} must keep a model for a while, but replaced it {RELOADS} times")

    def answers(self, answer: httpx.Response | None, tries: int) -> bool:
        """Whether this is the answer, after so many tries: there may be none, or one that says to come again."""
        return answer is not None and (answer.status_code not in RETRIED or tries == self._retries)

    def read(self, answer: httpx.Response) -> Any:
        """Return what an answer says, or raise what it stands for."""
        return read_answer(answer.status_code, answer.content, self._key_name)

    def form(self, call: Call[Any]) -> dict[str, Any]:
        """Return a request as httpx takes it."""
        files = {name: (f"{name}.npy", data, "application/octet-stream") for name, data in call.files.items()}
        return {"data": call.fields, "files": files}

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Raise what httpx raises as a ServerError."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise ServerError(f"the server at {self.url} must answer within the timeout, but did not") from error
        except httpx.HTTPError as error:
            raise ServerError(f"the server at {self.url} must be reachable, but is not: {error}") from error


def described(said: Any) -> Description:
    """Return the model that a server describes; ServerError where it is none."""
    models = said.get("models") if isinstance(said, dict) else None
    if not isinstance(models, list) or len(models) != 1:
        raise ServerError(f"a server must describe its model, but says {str(said)[:200]}")
    return Description.from_json(models[0])


def progress_calls(wanted: Asked, frames: Any, actor: str) -> Prepare[Progress]:
    """Ask how far the robot is at the end of each clip."""

    def calls(model: Description) -> list[Call[Progress]]:
        clips = wanted.clips(frames, model.reading)
        return [progress_call(clip, text, actor, model) for clip, text in zip(clips, wanted.texts, strict=True)]

    return calls


def curve_calls(wanted: Asked, frames: Any, actor: str, points: int | None, frame_choice: str) -> Prepare[Curve]:
    """Ask how far it is along each clip."""

    def calls(model: Description) -> list[Call[Curve]]:
        pairs = zip(wanted.clips(frames, model.reading), wanted.texts, strict=True)
        return [curve_call(clip, text, actor, model, points, frame_choice) for clip, text in pairs]

    return calls


def preference_calls(wanted: Asked, a: Any, b: Any, actor: str) -> Prepare[Preference]:
    """Ask which of each pair got further."""

    def calls(model: Description) -> list[Call[Preference]]:
        pairs = zip(*wanted.sides(a, b, model.reading), wanted.texts, strict=True)
        return [preference_call(first, second, text, actor, model) for first, second, text in pairs]

    return calls
