"""Real servers on loopback for tests, and the requests that are sent to them byte by byte."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).parents[2]
TASK = "open the drawer"
START_SECONDS = 280
COMMAND = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
runpy.run_module("rfm", run_name="__main__", alter_sys=True)
"""
"""`python -m rfm`, which ends when its standard input does: with these tests, however they end."""


class Served:
    """A running `rfm serve`, and what it logs."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log
        self.url = str(self.logged("serving")["url"])
        self.port = int(self.url.rpartition(":")[2])

    def lines(self) -> list[dict[str, Any]]:
        """All that was logged so far."""
        whole = self._log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def logged(self, message: str, after: int = 0) -> dict[str, Any]:
        """Wait for a line of the log with this message."""
        return self.until(lambda: next((one for one in self.lines()[after:] if one["message"] == message), None))

    def until(self, look: Any, seconds: float = START_SECONDS) -> Any:
        """Wait for something to be found."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (found := look()) is not None:
                return found
            assert self.process.poll() is None, self._log.read_text()
            time.sleep(0.02)
        raise AssertionError(self._log.read_text())

    def children(self) -> list[int]:
        """Worker processes: what the process that forks them has forked."""
        tree = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
        forkers = [number for number, parent in tree.items() if parent == self.process.pid]
        return sorted(number for number, parent in tree.items() if parent in forkers)

    def post(self, path: str, **content: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=120, **content)

    def ask(self, path: str = "/v1/progress", task: str = TASK, **files: bytes) -> httpx.Response:
        return self.post(path, data={"task": task}, files=files)

    def ask_with(self, headers: dict[str, str], clip: bytes) -> httpx.Response:
        return self.post("/v1/progress", headers=headers, data={"task": TASK}, files={"clip": clip})

    def get(self, path: str, **content: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, **content)

    def sends(self, data: bytes, seconds: float = 30, *, half_close: bool = False) -> bytes:
        """What comes back for these bytes on a connection of their own, until it is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as one:
            try:
                one.sendall(data)
                if half_close:
                    one.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: one.recv(65536), b""))
            except (ConnectionResetError, BrokenPipeError):
                return b""


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[Served]:
    """A server for as long as the context lasts, at a free port, with one thread."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.jsonl"
    command = [sys.executable, "-c", COMMAND, "serve", "--port", "0", "--threads", "1", "--device", "cpu", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=stream, stdout=subprocess.DEVNULL, cwd=folder, env=environment
        )
    try:
        yield Served(process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            finally:
                process.kill()


def npy(frames: np.ndarray, **saved: Any) -> bytes:
    """The bytes of an .npy."""
    stream = io.BytesIO()
    np.save(stream, frames, **saved)
    return stream.getvalue()


def npy_that_declares(shape: tuple[int, ...], dtype: str = "|u1", order: bool = False, data: bytes = b"") -> bytes:
    """An .npy whose header says what its bytes do not hold."""
    text = repr({"descr": dtype, "fortran_order": order, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def form(parts: list[tuple[str, str | None, bytes]], boundary: str = "b0undary") -> tuple[bytes, str]:
    """multipart/form-data byte by byte: (name, file name or None, content) each; and its content type."""
    body = b""
    for name, filename, content in parts:
        file = b"" if filename is None else f'; filename="{filename}"'.encode()
        kind = b"" if filename is None else b"Content-Type: application/octet-stream\r\n"
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode() + file + b"\r\n" + kind
        body += b"\r\n" + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def request(path: str, body: bytes, kind: str, *headers: str, method: str = "POST") -> bytes:
    """An HTTP request byte by byte."""
    lines = [f"{method} {path} HTTP/1.1", "Host: here", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", ""]).encode() + body


def status_of(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])
