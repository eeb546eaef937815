"""A server under load, on loopback: every answer checked against the direct call; beside a server of batch size one.

    python benchmarks/serve.py --requests 10000

Clips of noise (4 frames at 32 x 32), the random `tiny`, one processor thread a worker. Two servers take turns, one that
answers up to 32 questions together and one that answers one at a time; 64 clients ask over connections that stay open.
Rates are by the clock and by processor time of the server's processes (front and worker), which other work on the
machine does not change. Then, under load: half of the clients leave in the middle of a request; more come than are
taken on; the worker is killed; the server is told to end.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rfm
from rfm.batch.input_format import InputFormat
from rfm.model.load import load_model

ROOT = Path(__file__).parents[1]
CLOSE = 1e-5
APART = 5e-5
"""Between the values of any two clips, so that an answer to another one is seen."""
COMMAND = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
runpy.run_module("rfm", run_name="__main__", alter_sys=True)
"""
"""`python -m rfm`, which ends when its standard input does: with this benchmark, however it ends."""
TASK = "put the red block into the drawer"


@dataclass
class Outcome:
    """What became of requests."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    broken: int = 0
    """Connections that ended before an answer."""
    wrong: int = 0
    largest: float = 0.0
    """The largest difference to the direct call."""

    def add(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 200:
            self.seconds.append(seconds)


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder) / "model")
        direct = rfm.RewardModel.from_pretrained(model, "cpu")
        clips, wanted = _told_apart(direct, options.clips)
        print(f"{len(clips)} clips, values {min(wanted):.4f} to {max(wanted):.4f}, at least {APART} apart")
        asked = [(_request(clip), value) for clip, value in zip(clips, wanted, strict=True)]
        with Server(model, Path(folder), 32) as many, Server(model, Path(folder), 1) as one:
            asyncio.run(_turns(many, one, asked, options))
            asyncio.run(_leaving(many, asked, options))
            asyncio.run(_crowd(many, asked))
            asyncio.run(_killed(many, asked, options))
            asyncio.run(_ended(many, asked))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--of_one", type=int, default=500, help="requests to the server of batch size one")
    return parser.parse_args()


def _model(folder: Path) -> Path:
    loaded = load_model("tiny", seed=5)
    with torch.no_grad():  # wide weights make random answers differ from clip to clip
        for parameter in loaded.model.parameters():
            parameter.mul_(4 if parameter.ndim > 1 else 1)
    folder.mkdir()
    loaded.save(folder, InputFormat(32, 32, max_frames=4))
    return folder


def _told_apart(model: rfm.RewardModel, count: int) -> tuple[list[np.ndarray], list[float]]:
    """Return clips and what the model says of each, called directly."""
    clips: list[np.ndarray] = []
    values: list[float] = []
    for seed in range(20 * count):
        clip = np.random.default_rng(seed).integers(0, 256, (4, 32, 32, 3), np.uint8)
        value = model.progress(clip, TASK).expected
        if all(abs(value - other) > APART for other in values):
            clips.append(clip)
            values.append(value)
        if len(clips) == count:
            return clips, values
    raise SystemExit(f"only {len(clips)} clips can be told apart")


def _request(clip: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, clip)
    body = b""
    for name, content in (("task", TASK.encode()), ("clip", stream.getvalue())):
        body += f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"
    body += b"--b--\r\n"
    head = "POST /v1/progress HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Server:
    """A running `rfm serve`."""

    def __init__(self, model: Path, folder: Path, batch: int) -> None:
        self._log = folder / f"log{batch}"
        words = ["--model", model, "--port", "0", "--threads", "1", "--device", "cpu", "--batch_size", batch]
        command = [sys.executable, "-c", COMMAND, "serve", *map(str, words)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with self._log.open("wb") as stream:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stream, env=environment)

    def __enter__(self) -> Server:
        self.port = int(str(self.logged("serving")["url"]).rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)

    def logged(self, message: str, seconds: float = 600) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            for line in self._log.read_text().splitlines():
                if f'"message": "{message}"' in line:
                    return dict(json.loads(line))
            time.sleep(0.05)
        raise SystemExit(self._log.read_text()[-3000:])

    def answered(self) -> int:
        """Requests that it says to have answered."""
        return sum('"status": 200' in line for line in self._log.read_text().splitlines())

    def workers(self) -> list[int]:
        return [number for parent in _children(self.process.pid) for number in _children(parent)]

    def processor_seconds(self) -> float:
        """Of the front and the worker."""
        fields = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in self._processes()]
        return sum(int(of[11]) + int(of[12]) for of in fields) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """MiB that front and worker have to themselves."""
        found = 0
        for one in self._processes():
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            found += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        return found // 1024

    def _processes(self) -> list[int]:
        return [self.process.pid, *self.workers()]


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(path.name))
    return found


async def _turns(many: Server, one: Server, asked: list[tuple[bytes, float]], options: argparse.Namespace) -> None:
    rates: dict[str, list[float]] = {"many": [0.0, 0.0, 0.0], "one": [0.0, 0.0, 0.0]}
    whole, alone, memory = Outcome(), Outcome(), []
    for server in (many, one):
        await _load(server, asked, 200, options.clients, Outcome())  # warm
    memory.append(many.memory())
    for _ in range(options.turns):
        for name, server, outcome, count in (
            ("many", many, whole, options.requests),
            ("one", one, alone, options.of_one),
        ):
            start, used = time.monotonic(), server.processor_seconds()
            await _load(server, asked, count // options.turns, options.clients, outcome)
            spent = count // options.turns, time.monotonic() - start, server.processor_seconds() - used
            rates[name] = [before + more for before, more in zip(rates[name], spent, strict=True)]
        memory.append(many.memory())
    for name, outcome in (("many", whole), ("one", alone)):
        count, clock, used = rates[name]
        p50, p95, p99 = (1000 * np.quantile(outcome.seconds, share) for share in (0.5, 0.95, 0.99))
        print(
            f"{name}: {count:.0f} requests, {outcome.statuses}, {outcome.wrong} wrong, at most {outcome.largest:.1e} "
            f"off, {outcome.broken} lost; {count / clock:.0f}/s by the clock, {count / used:.0f}/s of processor time; "
            f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"
        )
    ratio = [rates["many"][0] / rates["many"][at] / (rates["one"][0] / rates["one"][at]) for at in (1, 2)]
    print(f"batches beside one at a time: {ratio[0]:.1f} by the clock, {ratio[1]:.1f} by processor time")
    print(f"memory of front and worker, MiB, before and after each turn: {memory}")


async def _load(server: Server, asked: list[tuple[bytes, float]], count: int, clients: int, outcome: Outcome) -> None:
    """So many requests, each client asking again as soon as it is answered."""
    left = iter(range(count))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number in left:
            request, value = asked[number % len(asked)]
            if not await _ask(reader, writer, request, value, outcome):
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, value: float, outcome: Outcome
) -> bool:
    start = time.monotonic()
    try:
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    except (asyncio.IncompleteReadError, ConnectionError):
        outcome.broken += 1
        return False
    status = int(head.split(b" ", 2)[1])
    outcome.add(status, time.monotonic() - start)
    if status == 200:
        off = abs(json.loads(body)["expected"] - value)
        outcome.largest = max(outcome.largest, off)
        outcome.wrong += off > CLOSE
    return b"connection: close" not in head


async def _leaving(server: Server, asked: list[tuple[bytes, float]], options: argparse.Namespace) -> None:
    """Half of the clients break off in the middle of requests, again and again; the others notice nothing."""
    outcome = Outcome()
    staying = asyncio.ensure_future(_load(server, asked, 600, options.clients // 2, outcome))
    broken_off = 0

    async def leaver(number: int) -> None:
        nonlocal broken_off
        chance = random.Random(number)
        while not staying.done():
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            request = asked[number][0]
            writer.write(request[: chance.choice([100, len(request) // 2, len(request)])])
            await asyncio.sleep(chance.uniform(0.2, 1))
            writer.transport.abort()
            broken_off += 1

    await asyncio.gather(staying, *(leaver(number) for number in range(options.clients // 2)))
    held = await _metric(server, "rfm_requests_held")
    print(
        f"half of the clients leave: {broken_off} requests broken off; of the others {outcome.statuses}, "
        f"{outcome.wrong} wrong, {outcome.broken} lost; held afterwards: {held:.0f}"
    )


async def _metric(server: Server, name: str) -> float:
    """Return a counter, once a moment has passed in which the server notices who has left."""
    await asyncio.sleep(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


async def _crowd(server: Server, asked: list[tuple[bytes, float]]) -> None:
    outcome = Outcome()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        request, value = asked[number % len(asked)]
        await _ask(reader, writer, request, value, outcome)
        writer.close()

    await asyncio.gather(*(client(number) for number in range(400)))
    print(
        f"400 at once, 256 of them taken on at a time: {outcome.statuses}, {outcome.wrong} wrong, {outcome.broken} lost"
    )


async def _killed(server: Server, asked: list[tuple[bytes, float]], options: argparse.Namespace) -> None:
    outcome = Outcome()
    load = asyncio.ensure_future(_load(server, asked, 600, options.clients, outcome))
    while not outcome.seconds:
        await asyncio.sleep(0.01)
    [worker] = server.workers()
    os.kill(worker, signal.SIGKILL)
    start, before = time.monotonic(), len(outcome.seconds)
    while len(outcome.seconds) < before + 65:  # more than could be on their way
        await asyncio.sleep(0.01)
    recovered = time.monotonic() - start
    await load
    print(
        f"the worker is killed: {outcome.statuses}, {outcome.wrong} wrong, {outcome.broken} lost; answers flow again "
        f"after {recovered:.1f} s"
    )


async def _ended(server: Server, asked: list[tuple[bytes, float]]) -> None:
    outcome, refused = Outcome(), 0

    async def client(number: int) -> None:
        nonlocal refused
        request, value = asked[number]
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except ConnectionError:
                refused += 1
                return
            while await _ask(reader, writer, request, value, outcome):
                pass
            writer.close()

    before = server.answered()
    clients = asyncio.gather(*(client(number) for number in range(64)))
    while len(outcome.seconds) < 100:
        await asyncio.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    await clients
    status = await asyncio.to_thread(server.process.wait, 60)
    print(
        f"SIGTERM under load: {outcome.statuses}, {outcome.wrong} wrong, as many as the server answered: "
        f"{server.answered() - before}; {outcome.broken} found their connection closed between requests; {refused} "
        f"clients were refused afterwards; exit status {status}"
    )


if __name__ == "__main__":
    main()
