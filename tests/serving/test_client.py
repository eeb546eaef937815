"""What the client makes of servers that refuse, break off, lie, or replace their model; real ones, that answer so."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from wrong_calls import WRONG

import rfm
from rfm.errors import ConfigError, DataError, ServerError

MODEL = {
    "name": "toy",
    "fingerprint": "one",
    "discrete": False,
    "max_frames": 4,
    "success": {"threshold": 0.9, "release": 0.8, "steps": 2},
    "read_as": {"height": None, "width": None},
    "seen_as": {"height": 8, "width": 8, "filter": "box"},
}
ANSWER = {
    "task": "pick", "expected": 0.25, "median": 0.0, "success": False, "frame": 5, "shown": [0, 2, 3, 5],
    "answers": [0.0, 1.0], "probabilities": [0.75, 0.25], "leftover": 0.0,
}  # fmt: skip
FRAMES = np.zeros((6, 16, 16, 3), np.uint8)


class Scripted:
    """Answers to the questions that come, in order; the last one for all that follow."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.seen = [*answers], []
        self.fingerprint = "one"


@contextmanager
def scripted(*answers: Any) -> Iterator[tuple[str, Scripted]]:
    app, script = FastAPI(), Scripted(*answers)

    @app.get("/v1/models")
    async def models() -> Response:
        return JSONResponse({"models": [MODEL | {"fingerprint": script.fingerprint}]})

    @app.post("/v1/progress")
    async def progress(request: Request) -> Response:
        script.seen.append((time.monotonic(), await request.body(), request.headers.get("authorization")))
        answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
        return answer if isinstance(answer, Response) else answer(script)

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}", script
        finally:
            server.should_exit = True
            thread.join()


def good(_: Scripted) -> Response:
    return JSONResponse(ANSWER)


def busy(status: int, seconds: str = "0") -> Response:
    return JSONResponse({"detail": "come again"}, status, {"Retry-After": seconds})


def test_what_is_refused_for_the_moment_is_asked_again_after_the_time_that_is_said() -> None:
    with scripted(busy(429, "1"), busy(503), good) as (url, script), rfm.RewardClient(url, "a key") as client:
        said = client.progress(FRAMES, "pick")
    assert (said.expected, said.shown, said.frame) == (0.25, (0, 2, 3, 5), 5)
    first, second, _ = script.seen
    assert second[0] - first[0] >= 0.75
    assert {one[2] for one in script.seen} == {"Bearer a key"}


def test_only_frames_that_are_shown_travel_and_in_the_size_in_which_they_are_seen() -> None:
    with scripted(good) as (url, script), rfm.RewardClient(url) as client:
        client.progress(np.zeros((500, 64, 64, 3), np.uint8), "pick")
    [(_, body, _)] = script.seen
    assert b"[0, 166, 333, 499]" in body
    assert b"'shape': (4, 8, 8, 3)" in body
    assert len(body) < 4 * 8 * 8 * 3 + 1500


def test_tasks_may_come_one_by_one() -> None:
    with scripted(good) as (url, script), rfm.RewardClient(url) as client:
        assert len(client.progress(FRAMES, tasks=iter(["pick", "place"]))) == 2
        assert len(script.seen) == 2


def test_it_is_not_asked_for_ever() -> None:
    with scripted(busy(503)) as (url, script), rfm.RewardClient(url, retries=2) as client:
        with pytest.raises(ServerError, match="the server answers with status 503: come again"):
            client.progress(FRAMES, "pick")
        assert len(script.seen) == 3
    with pytest.raises(ServerError, match=r"the server at http://127.0.0.1:1 must be reachable, but is not"):
        rfm.RewardClient("http://127.0.0.1:1/", retries=0).progress(FRAMES, "pick")


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (JSONResponse({"detail": "`clip` is none"}, 422), DataError, "`clip` is none"),
        (
            JSONResponse({"detail": "no"}, 401),
            ConfigError,
            "`api_key` must be one that the server knows, but it says: no",
        ),
        (JSONResponse({"detail": "broken"}, 500), ServerError, "the server answers with status 500: broken"),
        (Response("<html>", 200), ServerError, "a server must answer in JSON, but says b'<html>' with status 200"),
        (JSONResponse({"expected": 1}), DataError, "a server must answer with what was asked for, but says"),
        (JSONResponse(ANSWER | {"expected": None}), DataError, "a server must answer with what was asked for"),
    ],
)
def test_errors_are_errors_and_are_not_asked_again(answer: Response, error: type[Exception], words: str) -> None:
    with scripted(answer) as (url, script), rfm.RewardClient(url) as client:
        with pytest.raises(error, match=words):
            client.progress(FRAMES, "pick")
        assert len(script.seen) == 1


def test_a_list_is_of_one_model() -> None:
    def replaced(script: Scripted) -> Response:
        script.fingerprint = "two"
        return JSONResponse({"detail": "`model` must be the one that answers"}, 409)

    with scripted(good, replaced, good) as (url, script), rfm.RewardClient(url) as client:
        said = client.progress(FRAMES, tasks=["pick", "place"], batch_size=1)
        assert (len(said), client.description.fingerprint) == (2, "two")
    models = [body.partition(b'name="model"\r\n\r\n')[2].partition(b"\r\n")[0] for _, body, _ in script.seen]
    assert models == [b"one", b"one", b"two", b"two"]


def test_the_asynchronous_client_does_the_same() -> None:
    async def asked(url: str) -> Any:
        async with rfm.AsyncRewardClient(url) as client:
            return await client.progress([FRAMES, FRAMES], tasks=["pick", "place"])

    with scripted(busy(429), good) as (url, script):
        assert [one.expected for one in asyncio.run(asked(url))] == [0.25, 0.25]
        assert len(script.seen) == 3


def test_a_tracker_is_given_a_frame_again_whose_update_failed() -> None:
    broken = JSONResponse({"detail": "broken"}, 500)
    with scripted(good, broken, good) as (url, script), rfm.RewardClient(url) as client:
        tracker = client.tracker("pick")
        tracker.update(FRAMES[0])
        with pytest.raises(ServerError, match="broken"):
            tracker.update(FRAMES[1])
        assert len(tracker) == 1
        tracker.update(FRAMES[1])
        assert len(tracker) == 2
    assert [(b"[0, 1]" in body, b"'shape': (2, 8, 8, 3)" in body) for _, body, _ in script.seen[1:]] == [
        (True, True)
    ] * 2


@pytest.mark.parametrize(("call", "text"), WRONG)
def test_what_no_model_answers_is_not_sent(call: Callable[[rfm.RewardClient], object], text: str) -> None:
    with scripted(good) as (url, script), rfm.RewardClient(url) as client:
        with pytest.raises(ConfigError) as raised:
            call(client)
        assert text in str(raised.value)
        assert script.seen == []


def test_what_is_no_address_and_no_model() -> None:
    with pytest.raises(ConfigError, match="`url` must begin with http:// or https://, but is 'localhost:8000'"):
        rfm.RewardClient("localhost:8000")
    with pytest.raises(ConfigError, match="`retries` must be at least 0 and `connections` at least 1"):
        rfm.RewardClient("http://localhost", connections=0)
