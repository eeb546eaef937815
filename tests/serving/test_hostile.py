"""What must not bring a server down: refused in words, within bounds of time and memory; the next is served."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from marked_frames import write_marked
from robot_datasets import declared, png
from scored_clips import film
from serving.served import TASK, Served, form, npy, npy_that_declares, request, status_of
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rfm.serving.requests.sent import _parsed_size

GROWTH = 160 * 2**20
"""Bytes that the server's processes may grow by in one test."""


def memory(server: Served) -> int:
    """Bytes that the server and its children have to themselves at the moment."""
    found = 0
    for process in (server.process.pid, *server.children()):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        found += 1024 * sum(
            int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty:", "Private_Clean:"))
        )
    return found


@pytest.fixture(autouse=True)
def as_if_nothing_had_been(server: Served) -> Iterator[None]:
    before = memory(server)
    yield
    answer = server.ask(clip=npy(film(2)))
    assert answer.status_code == 200
    assert "rfm_bytes_held 0.0" in server.get("/metrics").text
    assert memory(server) < before + GROWTH


def refused(server: Served, clip: bytes, words: str, status: int = 422) -> None:
    start = time.monotonic()
    answer = server.ask(clip=clip)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    assert time.monotonic() - start < 60


def zipped(data: bytes, name: str = "frames.npy") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return stream.getvalue()


class Touch:
    """A pickle that would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((100_000, 100_000, 100_000, 3), "`clip` must have at most 600 frames, but has 100000"),
        ((4, 100_000, 100_000, 3), "`clip` must have at most 4000000 pixels in all frames that are kept of it"),
        ((4, 8, 8, 3), "`clip` must fill its 0 bytes, but declares an array of shape (4, 8, 8, 3), which takes 768"),
        ((-4, -8, 8, 3), "`clip` must fill its 0 bytes"),
        ((2**62, 2**62, 2**62), "`clip` must fill its 0 bytes"),
    ],
)
def test_an_npy_that_declares_what_it_does_not_hold(server: Served, shape: tuple[int, ...], words: str) -> None:
    refused(server, npy_that_declares(shape), words)


def test_pickles_and_other_types_are_never_loaded(server: Served, tmp_path: Path) -> None:
    made = tmp_path / "made"
    refused(
        server, npy(np.array([Touch(made)], object), allow_pickle=True), "`clip` must hold numbers, but is a pickled"
    )
    refused(server, zipped(npy(np.array([Touch(made)], object), allow_pickle=True)), "pickled array")
    assert not made.exists()
    refused(server, npy(film(2).astype(">u2")), "`clip` must be uint8, from 0 to 255, but is uint16")
    refused(server, npy(film(2) / 255.0), "`clip` must be uint8, from 0 to 255, but is float64")
    refused(server, npy(film(2).transpose(0, 3, 1, 2).copy()), "channels come first")
    refused(server, b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 60_000, "must have a header of at most 10000 bytes")
    refused(server, b"\x93NUMPY\x01\x00\x76\x00" + b"x" * 118, "must be a readable .npy, but reading it gives")
    refused(server, b"\x93NUMPY", "must be a readable .npy, but reading it gives")
    assert server.ask(clip=npy_that_declares((2, 8, 8, 3), order=True, data=bytes(384))).status_code == 200


def test_bombs(server: Served, tmp_path: Path) -> None:
    frames = npy_that_declares((60, 8192, 8192, 3))
    bomb = frames + bytes(60 * 2**20)
    refused(server, zipped(bomb), "must fill its")
    refused(server, zipped(npy(np.zeros((60, 1024, 1024, 3), np.uint8))), "`clip` must have at most 4000000 pixels")
    refused(server, gzip.compress(bytes(2**26)), "`clip` must be readable, but decoding it gives: Invalid data")
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = server.post("/v1/progress", content=gzip.compress(b"[" * 2**24), headers=packed)
    assert answer.status_code == 415
    assert answer.json()["detail"] == "`Content-Encoding` must be left out, but is 'gzip': send the body as it is"


def test_videos_that_are_cut_or_lie(server: Served, tmp_path: Path) -> None:
    whole = write_marked(tmp_path / "whole.mp4", 60).read_bytes()
    refused(server, whole[: len(whole) // 2], "`clip` must be readable, but decoding it gives")
    refused(
        server, write_marked(tmp_path / "long.mp4", 400).read_bytes(), "`clip` must last at most 30 seconds, but lasts"
    )
    counts = whole.find(b"stsz") + 12  # sample_size 0, then the number of samples
    assert int.from_bytes(whole[counts : counts + 4], "big") == 60
    lying = whole[:counts] + (1_000_000).to_bytes(4, "big") + whole[counts + 4 :]
    assert server.ask(clip=lying).status_code in (200, 422)  # FFmpeg reads the sixty that are there, or none
    refused(server, b"", "`clip` must be a video, an .npy or an .npz, but is empty")
    refused(server, os.urandom(5000), "`clip` must be")


def test_forms_that_are_none(server: Served) -> None:
    clip = npy(film(2))
    good = [("task", None, TASK.encode()), ("clip", "../../etc/passwd\0.npy", clip)]
    body, kind = form(good)
    assert status_of(server.sends(request("/v1/progress", body, kind))) == 200  # a name is nothing but words
    for parts, words in (
        ([*good, *good], b"a form must have each part once, but has `task` twice"),
        ([*good, ("extra", None, b"1")], b"`extra` must be one of actor, frame_numbers, model, seconds, task"),
        ([("", None, b"1")], b"each part of a form must have a name"),
        ([("task", None, b"\xff\xfe")], b"`task` must be UTF-8 text, but is not"),
        ([("task", None, b" ")], b"`task` must be a text that says something"),
    ):
        answer = server.sends(request("/v1/progress", *form(list(parts))))
        assert status_of(answer) == 422
        assert words in answer
    cut = server.sends(request("/v1/progress", body[:-20], kind))
    assert b"a form must end in its boundary, but does not: it was cut off" in cut
    answer = server.sends(request("/v1/progress?actor=person", body, kind))
    assert status_of(answer) == 422
    assert b"a request must say all in its body, but has a query" in answer
    many, kind = form([(f"part{number}", None, b"x") for number in range(10_000)])
    answer = server.sends(request("/v1/progress", many, kind))
    assert status_of(answer) == 413
    assert b"a form must have at most 1024 parts, but has more" in answer
    headers = b"--b\r\nContent-Disposition: form-data; name=x" + b";a=b" * 20_000
    assert b"headers of at most 4096 bytes" in server.sends(
        request("/v1/progress", headers, "multipart/form-data; boundary=b")
    )
    assert status_of(server.sends(request("/v1/progress", b"x", "multipart/form-data"))) == 422
    assert status_of(server.sends(request("/v1/progress", b"x", "text/csv"))) == 415


def test_json_that_is_none(server: Served) -> None:
    clip = base64.b64encode(npy(film(2))).decode()
    for content, words in (
        (b"[" * 10_000_000, "the body must be nested at most 64 deep"),
        (b'{"a":' * 500_000, "the body must be nested at most 64 deep"),
        (b"{", "the body must be JSON, but is not"),
        (b"[1]", "the body must be a JSON object"),
        (b"\xff", "the body"),
        (json.dumps({"task": TASK, "clip": "!"}).encode(), "`clip` must be base64"),
        (json.dumps({"task": TASK, "clip": 7}).encode(), "`clip` must be the base64 text"),
        (json.dumps({"task": TASK, "clip": clip, "seconds": [1]}).encode(), "`seconds` must have one for each of 2"),
        (json.dumps({"task": TASK, "clip": clip, "frame_numbers": [2, 1]}).encode(), "`frame_numbers` must ascend"),
        (
            json.dumps({"task": TASK, "clip": clip, "frame_numbers": [1e9, -1]}).encode(),
            "`frame_numbers` must be a list",
        ),
        (b'{"task": "x", "task": "y"}', "has `task` twice"),
        (b'{"task": NaN}', "must have finite numbers"),
    ):
        kind = {"Content-Type": "application/json"}
        answer = server.post("/v1/progress", content=content, headers=kind)
        most = 413 if len(content) > 8 * 2**20 else 422
        assert answer.status_code == most, answer.text
        assert most == 413 or words in answer.json()["detail"], answer.text


def test_sizes_are_checked_before_bytes_are_read(server: Served) -> None:
    head = request("/v1/progress", b"", "multipart/form-data; boundary=b").replace(b"Length: 0", b"Length: 99999999999")
    answer = server.sends(head)
    assert status_of(answer) == 413
    assert b"a request must have at most 8388608 bytes, but has 99999999999" in answer
    chunked = head.replace(b"Content-Length: 99999999999", b"Transfer-Encoding: chunked")
    piece = b"100000\r\n" + bytes(2**20) + b"\r\n"
    answer = server.sends(chunked + piece * 9 + b"0\r\n\r\n")
    assert answer == b"" or status_of(answer) == 413


def test_json_of_many_small_values_is_counted_as_what_it_takes(server: Served) -> None:
    body = b'{"task": [' + b"{}," * 800_000 + b"{}]}"
    answer = server.post("/v1/progress", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, "`task` must be a text" in answer.json()["detail"]) == (422, True)
    assert _parsed_size(bytearray(body)) > 90 * 2**20
    assert _parsed_size(bytearray(json.dumps({"clip": base64.b64encode(bytes(10**6)).decode()}).encode())) < 2 * 10**6


def test_messages_of_a_session_that_are_no_frames(server: Served) -> None:
    with connect(server.url.replace("http", "ws") + "/v1/track", max_size=None) as session:
        session.send(json.dumps({"task": TASK}))
        session.recv()
        for message, words in (
            (declared(png(film(1)[0]), 9_000), "must have at most 67108864 pixels a frame, but declares 9000 x 9000"),
            (declared(png(film(1)[0]), 4_000), "must have at most 4000000 pixels in all frames that are kept of it"),
            (npy_that_declares((100_000, 100_000, 3)), "must fill its 0 bytes"),
            ("[" * 60_000, "a message must be nested at most 64 deep"),
            ("[" * 70_000, "a message of text must have at most 65536 characters, but has 70000"),
        ):
            session.send(message)
            said = json.loads(session.recv())
            assert (said["status"], words in said["detail"]) == (422, True), said
        head = b"\x82\xff" + (9 * 2**20).to_bytes(8, "big") + bytes(4)
        session.socket.sendall(head)  # alone: what is on the way when the server closes takes its answer with it
        with pytest.raises(ConnectionClosed):
            session.recv()
        assert session.close_code == 1009


def test_what_is_no_http(server: Served) -> None:
    for data in (
        b"\0" * 1000,
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"a" * 200_000,
    ):
        answer = server.sends(data)
        assert answer == b"" or status_of(answer) == 400


def test_clients_that_are_slow_or_leave_half_way(server: Served) -> None:
    body, kind = form([("task", None, TASK.encode()), ("clip", "a.npy", npy(film(2)))])
    whole = request("/v1/progress", body, kind)
    start = time.monotonic()
    answer = server.sends(whole[:-1000])  # and then nothing: the rest must come within two seconds
    assert status_of(answer) == 408
    assert b"a request must arrive within 2 seconds" in answer
    assert time.monotonic() - start < 30
    server.sends(whole[:-1000], half_close=True)
    server.sends(whole, half_close=True)
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(whole[:-10])  # closed at once
    slow = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    with connect(server.url.replace("http", "ws") + "/v1/track") as silent:  # a session that says nothing
        with pytest.raises(ConnectionClosed):
            silent.recv(30)
        assert (silent.close_code, silent.close_reason) == (
            1008,
            "the first message must come within 2 seconds, but did not",
        )
    with slow:  # a head that never ends
        slow.sendall(b"POST /v1/progress HTTP/1.1\r\nX: ")
        assert slow.recv(100) == b""
