"""Running a server: keys, logs, counters, workers that are killed, reloads, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from checkpoints import random_checkpoint
from marked_frames import write_marked
from scored_clips import film
from serving.served import ROOT, TASK, Served, npy, running
from websockets.sync.client import connect

import rfm
from rfm.cli import run_command
from rfm.errors import ConfigError, ServerError

KEY, OTHER = "a-key-of-some-length-1", "another-key-of-some-length"
SHOWN = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of random weights, and a link `model` to the first."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for number in (1, 2):
        random_checkpoint(folder / f"final{number}", max_frames=4, seed=number)
    (folder / "model").symlink_to(folder / "final1")
    return folder


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "keys").write_text(f"# of the lab\n{OTHER}\n{KEY}\n")
    flags = ["--api_key_file", str(folder / "keys"), "--max_requests", "8", "--batch_size", "4"]
    with running(folder, "--model", str(checkpoints / "model"), *flags) as one:
        yield one


def flood(server: Served, count: int, clip: bytes) -> list[httpx.Response | Exception]:
    """So many requests at once."""

    async def all_of_them() -> list[httpx.Response | Exception]:
        limits = httpx.Limits(max_connections=count)
        async with httpx.AsyncClient(base_url=server.url, timeout=120, headers=SHOWN, limits=limits) as client:
            asked = [client.post("/v1/progress", data={"task": TASK}, files={"clip": clip}) for _ in range(count)]
            return await asyncio.gather(*asked, return_exceptions=True)  # type: ignore[return-value]

    return asyncio.run(all_of_them())


def test_a_key_must_be_shown(guarded: Served) -> None:
    for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": KEY}, {"Authorization": f"Basic {KEY}"}):
        answer = guarded.get("/v1/models", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["detail"] == "`Authorization` must be `Bearer` and a valid key, but is not"
    for key in (KEY, OTHER):
        assert guarded.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    for path in ("/health", "/ready", "/docs", "/openapi.json"):
        assert guarded.get(path).status_code == 200
    for path in ("/metrics", "/nowhere"):
        assert guarded.get(path).status_code == 401
    with pytest.raises(ConfigError, match="`api_key` must be one that the server knows"):
        rfm.RewardClient(guarded.url, "wrong").progress(film(2), TASK)


def test_a_key_that_does_not_fit_is_named_by_where_it_came_from(
    guarded: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("a-key-of-somebody-else\n")
    monkeypatch.setenv("RFM_API_KEY", "wrong")
    asked = ["--check", "--port", str(guarded.port)]
    for words, source in ((asked, "RFM_API_KEY"), ([*asked, "--api_key_file", str(tmp_path / "keys")], "api_key_file")):
        assert run_command(("serve",), words, "rfm serve") == 1
        assert f"`{source}` must be one that the server knows, but it says" in capsys.readouterr().err
    video = str(write_marked(tmp_path / "a.mp4", 3))
    assert run_command(("score",), [video, "--task", TASK, "--server", guarded.url], "rfm score") == 1
    assert "`RFM_API_KEY` must be one that the server knows, but it says" in capsys.readouterr().err


def test_a_session_needs_a_key_too(guarded: Served) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus, match="403"), connect(guarded.url.replace("http", "ws") + "/v1/track"):
        pass
    with connect(guarded.url.replace("http", "ws") + "/v1/track", additional_headers=SHOWN):
        pass


def test_the_log_has_requests_and_neither_keys_nor_tasks(guarded: Served) -> None:
    headers = SHOWN | {"X-Request-ID": "of-mine.1"}
    said = guarded.post("/v1/progress", headers=headers, json={"task": "a secret task"})
    assert (said.status_code, said.headers["x-request-id"]) == (422, "of-mine.1")
    assert said.json() == {
        "detail": "`clip` must be a video, an .npy or an .npz, but is missing",
        "request_id": "of-mine.1",
    }
    line = guarded.until(lambda: next((one for one in guarded.lines() if one.get("request") == "of-mine.1"), None))
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/progress", 422)
    guarded.get(f"/nowhere?key={KEY}", headers=SHOWN)
    text = str(guarded.lines())
    assert KEY not in text
    assert OTHER not in text
    assert "secret" not in text


def test_counters(guarded: Served) -> None:
    guarded.post("/v1/progress", headers=SHOWN, data={"task": TASK}, files={"clip": npy(film(3))})
    text = guarded.get("/metrics", headers=SHOWN).text
    assert 'rfm_requests_total{route="/v1/progress",status="200"}' in text
    for line in ("rfm_workers 1.0", "rfm_waiting 0.0", "rfm_requests_held 0.0", "rfm_bytes_held 0.0"):
        assert line in text.splitlines()


def test_more_than_is_taken_on_is_told_to_come_again(guarded: Served) -> None:
    answers = flood(guarded, 40, npy(film(4)))
    statuses = [answer.status_code for answer in answers if isinstance(answer, httpx.Response)]
    assert len(statuses) == 40
    assert {*statuses} == {200, 429}
    [refused] = {a.json()["detail"] for a in answers if isinstance(a, httpx.Response) and a.status_code == 429}
    assert refused == "at most 8 requests are taken on at a time; ask again later"
    assert all(int(a.headers["retry-after"]) >= 1 for a in answers if getattr(a, "status_code", 0) == 429)
    assert "rfm_requests_held 0.0" in guarded.get("/metrics", headers=SHOWN).text.splitlines()


def counted(server: Served, name: str) -> float:
    lines = server.get("/metrics", headers=SHOWN).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_questions_that_come_together_are_answered_together(guarded: Served) -> None:
    names = "rfm_batch_questions_sum", "rfm_batch_questions_count"
    before = [counted(guarded, name) for name in names]
    assert all(getattr(answer, "status_code", 0) == 200 for answer in flood(guarded, 8, npy(film(4))))
    questions, batches = (counted(guarded, name) - earlier for name, earlier in zip(names, before, strict=True))
    assert questions == 8
    assert 2 <= batches <= 5  # at most four together


def test_a_long_curve_lets_others_have_their_turn(guarded: Served) -> None:
    async def asked() -> bool:
        async with httpx.AsyncClient(base_url=guarded.url, timeout=120, headers=SHOWN) as client:
            form = {"data": {"task": TASK}}
            curve = asyncio.create_task(client.post("/v1/curve", files={"clip": npy(film(120))}, **form))
            while "rfm_requests_held 1.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.02)
            assert (await client.post("/v1/progress", files={"clip": npy(film(4))}, **form)).status_code == 200
            before = curve.done()
            assert len((await curve).json()["expected"]) == 120
            return before

    assert asyncio.run(asked()) is False


def test_clients_that_leave_are_forgotten(guarded: Served) -> None:
    before = len(guarded.lines())
    for _ in range(3):
        with pytest.raises(httpx.TimeoutException):
            httpx.post(
                f"{guarded.url}/v1/curve",
                headers=SHOWN,
                data={"task": TASK},
                files={"clip": npy(film(400))},
                timeout=0.5,
            )
    guarded.until(lambda: [one for one in guarded.lines()[before:] if one.get("status") == 499][2:] or None)
    metrics = guarded.get("/metrics", headers=SHOWN).text.splitlines()
    assert {"rfm_requests_held 0.0", "rfm_waiting 0.0", "rfm_bytes_held 0.0"} <= {*metrics}


def test_a_killed_worker_costs_its_requests_alone(guarded: Served) -> None:
    guarded.until(lambda: guarded.get("/health").json()["available_gpus"] or None)
    [worker] = guarded.children()
    os.kill(worker, signal.SIGSTOP)  # so that it has a batch when it is killed
    before = len(guarded.lines())

    async def killed() -> httpx.Response:
        async with httpx.AsyncClient(base_url=guarded.url, timeout=120, headers=SHOWN) as client:
            asking = asyncio.create_task(client.post("/v1/progress", data={"task": TASK}, files={"clip": npy(film(4))}))
            while "processing" not in (await client.get("/gpu_status")).text:
                await asyncio.sleep(0.02)
            os.kill(worker, signal.SIGKILL)
            return await asking

    answer = asyncio.run(killed())
    assert answer.status_code == 503
    assert "has died while it answered; ask again" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "1"
    guarded.logged("a worker is there again", before)
    assert guarded.children() != [worker]
    assert guarded.ask_with(SHOWN, npy(film(4))).status_code == 200
    with rfm.RewardClient(guarded.url, KEY) as client:
        assert 0 <= client.progress(film(4), TASK).expected <= 1


def test_a_frame_without_an_answer_is_no_part_of_its_session(guarded: Served) -> None:
    guarded.until(lambda: guarded.get("/health").json()["available_gpus"] or None)
    [worker] = guarded.children()
    before = len(guarded.lines())
    with connect(guarded.url.replace("http", "ws") + "/v1/track", additional_headers=SHOWN) as session:
        session.send(json.dumps({"task": TASK}))
        session.recv()
        os.kill(worker, signal.SIGSTOP)
        session.send(npy(film(4)))
        guarded.until(lambda: "processing" in guarded.get("/gpu_status", headers=SHOWN).text or None)
        os.kill(worker, signal.SIGKILL)
        assert json.loads(session.recv())["status"] == 503
        guarded.logged("a worker is there again", before)
        session.send(npy(film(4)))
        assert json.loads(session.recv())["frame"] == 3


def test_a_worker_that_dies_while_it_has_nothing_to_do_costs_nothing(guarded: Served) -> None:
    guarded.until(lambda: guarded.get("/health").json()["available_gpus"] or None)
    [worker] = guarded.children()
    before = len(guarded.lines())
    os.kill(worker, signal.SIGKILL)
    assert guarded.ask_with(SHOWN, npy(film(4))).status_code == 200
    [again] = guarded.children()
    assert again != worker
    assert guarded.logged("a worker died", before)["lost"] == 0
    os.kill(again, signal.SIGKILL)  # and nobody asks: it is noticed all the same
    guarded.until(
        lambda: len([one for one in guarded.lines()[before:] if "there again" in one["message"]]) == 2 or None
    )
    assert guarded.get("/ready").status_code == 200


def test_a_reload_drops_nothing(guarded: Served, checkpoints: Path) -> None:
    frames = npy(film(4))
    first = guarded.ask_with(SHOWN, frames).json()
    (checkpoints / "next").symlink_to(checkpoints / "final2")
    (checkpoints / "next").replace(checkpoints / "model")
    before = len(guarded.lines())
    guarded.process.send_signal(signal.SIGHUP)
    said = []
    while not any(one["message"] == "reloaded" for one in guarded.lines()[before:]):
        said.append(guarded.ask_with(SHOWN, frames))
    said.append(guarded.ask_with(SHOWN, frames))
    assert {one.status_code for one in said} == {200}
    values = {one.json()["model"]: one.json()["expected"] for one in said}
    assert values.pop(first["model"]) == pytest.approx(first["expected"], abs=1e-6)
    [second] = values
    own = rfm.RewardModel.from_pretrained(checkpoints / "final2", "cpu")
    assert second == own.fingerprint()
    assert values[second] == pytest.approx(own.progress(film(4), TASK).expected, abs=1e-5)
    stale = guarded.post(
        "/v1/progress", headers=SHOWN, data={"task": TASK, "model": first["model"]}, files={"clip": frames}
    )
    assert (stale.status_code, stale.json()["detail"]) == (
        409,
        f"`model` must be the one that answers, {second}, but is {first['model']}; leave it out",
    )


def test_more_connections_than_are_served_are_refused_in_the_one_form(guarded: Served) -> None:
    with ExitStack() as stack:
        for _ in range(8 + 256 - 1):
            stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port)))
        refused = [guarded.ask_with(SHOWN, npy(film(2))), guarded.get("/health")]
    for answer in refused:
        said = answer.json()
        assert re.fullmatch(r"there must be fewer than 264 connections, but are \d+; ask again later", said["detail"])
        assert (answer.status_code, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"] == said["request_id"]
    guarded.until(lambda: guarded.ask_with(SHOWN, npy(film(2))).status_code == 200 or None)


def test_a_reload_of_what_is_no_model_changes_nothing(guarded: Served, checkpoints: Path) -> None:
    model = guarded.get("/v1/models", headers=SHOWN).json()["models"][0]["fingerprint"]
    kept = (checkpoints / "model").readlink()
    (checkpoints / "model").unlink()
    answer = guarded.post("/v1/reload", headers=SHOWN)
    (checkpoints / "model").symlink_to(kept)
    assert answer.status_code == 409
    assert "the model before goes on answering" in answer.json()["detail"]
    assert guarded.ask_with(SHOWN, npy(film(4))).json()["model"] == model
    assert guarded.post("/v1/reload", headers=SHOWN).json() == {"changed": False, "model": model}


def test_the_check_of_a_running_server(guarded: Served) -> None:
    command = [sys.executable, "-m", "rfm", "serve", "--check", "--port", str(guarded.port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RFM_API_KEY": KEY}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "progress 0." in run.stderr
    run = subprocess.run([*command[:-1], "1"], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "the server at http://127.0.0.1:1 must be reachable, but is not" in run.stderr


def test_an_end_under_load_loses_nothing(guarded: Served) -> None:
    """Last: what was taken on is answered, what comes later finds nobody."""
    before = len(guarded.lines())

    async def ended() -> list[httpx.Response | Exception]:
        async with httpx.AsyncClient(base_url=guarded.url, timeout=120, headers=SHOWN) as client:
            asked = [
                asyncio.create_task(client.post("/v1/curve", data={"task": TASK}, files={"clip": npy(film(40))}))
                for _ in range(6)
            ]
            while "rfm_requests_held 6.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.02)
            guarded.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*asked, return_exceptions=True)  # type: ignore[return-value]

    answers = asyncio.run(ended())
    assert [answer.status_code for answer in answers if isinstance(answer, httpx.Response)] == [200] * 6
    assert guarded.process.wait(60) == 0
    assert [one["message"] for one in guarded.lines()[before:] if one["message"] in ("ending", "ended")] == [
        "ending",
        "ended",
    ]
    with pytest.raises(ServerError, match="must be reachable, but is not"):
        rfm.RewardClient(guarded.url, KEY, retries=0).progress(film(2), TASK)
    deadline = time.monotonic() + 20
    while guarded.children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not guarded.children()
