"""`rfm serve --executor ray`: the same server, whose workers are replicas of a Ray Serve deployment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from checkpoints import random_checkpoint
from scored_clips import film
from serving.served import TASK, Served, npy, running
from websockets.sync.client import connect

import rfm

pytest.importorskip("ray.serve", reason="Ray Serve is not installed (extra `serve-ray`)", exc_type=ImportError)

KEY = "a-key-of-some-length-1"
SHOWN = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for number in (1, 2):
        random_checkpoint(folder / f"final{number}", max_frames=4, seed=number)
    (folder / "model").symlink_to(folder / "final1")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("replicas")
    (folder / "keys").write_text(KEY)
    flags = ["--executor", "ray", "--replicas", "2", "--api_key_file", str(folder / "keys"), "--batch_size", "4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with running(folder, "--model", str(checkpoints / "model"), *flags) as one:
            yield one


def replicas(server: Served) -> list[int]:
    """The processes of this server's replicas."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            title = (path / "cmdline").read_bytes() if path.name.isdigit() else b""
        except OSError:
            continue
        if title.startswith(b"ray::") and b"rfm-serve" in title and f"-of-{server.process.pid}-".encode() in title:
            found.append(int(path.name))
    return found


def workers(server: Served) -> float:
    lines = server.get("/metrics", headers=SHOWN).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("rfm_workers "))


def flood(server: Served, count: int, *, killed: int | None = None) -> list[httpx.Response]:
    """So many requests at once; once the first is answered, a process is killed."""

    async def all_of_them() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, timeout=240, headers=SHOWN) as client:
            clip = npy(film(4))
            asked = [
                asyncio.create_task(client.post("/v1/progress", data={"task": TASK}, files={"clip": clip}))
                for _ in range(count)
            ]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            if killed is not None:
                os.kill(killed, signal.SIGKILL)
            return await asyncio.gather(*asked)

    return asyncio.run(all_of_them())


def test_replicas_answer_as_the_model_does(server: Served, checkpoints: Path) -> None:
    own = rfm.RewardModel.from_pretrained(checkpoints / "final1", "cpu")
    clips = [film(2 + seed % 3, seed=seed) for seed in range(12)]
    with rfm.RewardClient(server.url, KEY) as client:
        assert client.description.fingerprint == own.fingerprint()
        told = client.progress(clips, tasks=[TASK] * 12), own.progress(clips, tasks=[TASK] * 12)
        for one, ours in zip(*told, strict=True):
            assert one.expected == pytest.approx(ours.expected, abs=1e-5)
        curves = client.curve(film(20), TASK), own.curve(film(20), TASK)
        assert curves[0].expected.tolist() == pytest.approx(curves[1].expected.tolist(), abs=1e-5)
        pairs = client.prefer(clips[0], clips[2], TASK), own.prefer(clips[0], clips[2], TASK)
        assert pairs[0].a == pytest.approx(pairs[1].a, abs=1e-5)
    assert len(replicas(server)) == workers(server) == 2
    assert server.get("/health").json() == {"status": "healthy", "available_gpus": 2, "total_gpus": 2}
    assert server.ask(clip=npy(film(2))).status_code == 401


def test_a_session_with_replicas(server: Served, checkpoints: Path) -> None:
    tracker = rfm.RewardModel.from_pretrained(checkpoints / "final1", "cpu").tracker(TASK)
    with connect(server.url.replace("http", "ws") + "/v1/track", additional_headers=SHOWN) as session:
        session.send(json.dumps({"task": TASK}))
        session.recv()
        for frame in film(3):
            session.send(npy(frame))
            assert json.loads(session.recv())["expected"] == pytest.approx(tracker.update(frame).expected, abs=1e-5)


def test_a_killed_replica_costs_its_requests_alone(server: Served) -> None:
    said = flood(server, 80, killed=replicas(server)[0])
    lost = [one for one in said if one.status_code != 200]
    assert {one.status_code for one in lost} <= {503}
    assert len(lost) <= 4
    assert all("a replica has died" in one.json()["detail"] and one.headers["retry-after"] for one in lost)
    assert len({round(one.json()["expected"], 5) for one in said if one.status_code == 200}) == 1
    server.until(lambda: (workers(server) == 2 and len(replicas(server)) == 2) or None)
    assert {one.status_code for one in flood(server, 8)} == {200}


def test_a_replica_with_other_weights_takes_no_part(server: Served, checkpoints: Path) -> None:
    """And a reload takes them for all."""
    first = server.ask_with(SHOWN, npy(film(4))).json()
    (checkpoints / "model").unlink()
    (checkpoints / "model").symlink_to(checkpoints / "final2")
    os.kill(replicas(server)[0], signal.SIGKILL)
    server.until(lambda: workers(server) < 2 or None)
    for _ in range(4):
        assert server.ask_with(SHOWN, npy(film(4))).json() == first
    second = rfm.RewardModel.from_pretrained(checkpoints / "final2", "cpu")
    answer = httpx.post(server.url + "/v1/reload", headers=SHOWN, timeout=240)
    assert answer.json() == {"changed": True, "model": second.fingerprint()}
    wanted = pytest.approx(second.progress(film(4), TASK).expected, abs=1e-5)
    assert server.ask_with(SHOWN, npy(film(4))).json()["expected"] == wanted


def test_an_end_with_replicas_answers_what_was_taken_on(server: Served) -> None:
    """Last: and nothing of it stays."""

    async def ended() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, timeout=240, headers=SHOWN) as client:
            clip = npy(film(40))
            asked = [
                asyncio.create_task(client.post("/v1/curve", data={"task": TASK}, files={"clip": clip}))
                for _ in range(4)
            ]
            while "rfm_requests_held 4.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.05)
            server.process.send_signal(signal.SIGINT)
            return await asyncio.gather(*asked)

    assert [answer.status_code for answer in asyncio.run(ended())] == [200] * 4
    assert server.process.wait(120) == 0
    assert server.lines()[-1]["message"] == "ended"
    assert replicas(server) == []
