"""Servers of chat completions on loopback that answer as a test says."""

import math
import socket
import threading
import time
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running(app):
    """A server on loopback for as long as the context lasts; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=free_port(), log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.config.port}/v1"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def serving(reply):
    """A server that answers the n-th request with `reply(n, body)`: a text, or a response."""
    app, seen = FastAPI(), []

    @app.post("/v1/chat/completions")
    async def complete(request: Request):
        seen.append(await request.json())
        made = reply(len(seen), seen[-1])
        return made if isinstance(made, Response) else completion(made)

    with running(app) as url:
        yield url, seen


def completion(text, logprobs=None):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    choice["logprobs"] = logprobs and {"content": logprobs}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


def position(token, **top):
    entries = [{"token": word, "logprob": math.log(share), "bytes": None} for word, share in top.items()]
    return {"token": token, "logprob": 0.0, "bytes": None, "top_logprobs": entries}
