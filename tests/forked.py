"""Processes in which torch and `rfm` are imported already: forked from a server that did so once.

What runs in them is real, without the ten seconds of imports that each would take. They are forked from a server as
autograd refuses to run in a child of a process that it has run in.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from patience import PATIENCE

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["rfm.training.run", "rfm.evaluation.evaluate"])


class Written(NamedTuple):
    """What processes wrote to standard output and standard error, and whether one of them failed."""

    output: str
    errors: str
    failed: bool


def started(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    process = _CONTEXT.Process(target=_begin, args=(function, *arguments))
    process.start()
    return process


def _begin(function: Callable[..., Any], *arguments: Any) -> None:
    """Workers start as in any other process: here the way in which this one was started would be taken for theirs."""
    multiprocessing.set_start_method(None, force=True)
    function(*arguments)


def together(count: int, folder: Path, function: Callable[..., int], *arguments: Any) -> Written:
    """Call a function that returns an exit status in so many processes, each told what torchrun tells it."""
    from chat_servers import free_port

    port = free_port()
    return _finished(folder, [_told(rank, count, port) for rank in range(count)], function, *arguments)


def apart(folder: Path, function: Callable[..., int], *arguments: Any) -> Written:
    """Call a function that returns an exit status in a process of its own."""
    return _finished(folder, [{}], function, *arguments)


def modules_among(*names: str) -> int:
    """Say which of these modules training and evaluation have imported, for `apart`."""
    sys.stdout.write(" ".join(sorted({*names} & {*sys.modules})))
    sys.stdout.flush()
    return 0


def _told(rank: int, count: int, port: int) -> dict[str, str]:
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in told.items()}}


def _finished(folder: Path, environments: list[dict[str, str]], *call: Any) -> Written:
    """Make a call once with each environment, at the same time; what they write goes to files in `folder`."""
    folder.mkdir()
    processes = [started(_call, folder / str(number), told, *call) for number, told in enumerate(environments)]
    running = {process.sentinel: process for process in processes}
    while running and (ended := wait(running, PATIENCE)):
        if any(running.pop(sentinel).exitcode for sentinel in ended):
            break
    for process in running.values():  # one has failed, for which the others would wait
        process.kill()
    for process in processes:
        process.join()
    written = ["".join(path.read_text() for path in sorted(folder.glob(f"*.{name}"))) for name in ("out", "err")]
    return Written(*written, failed=any(process.exitcode for process in processes))


def _call(place: Path, told: dict[str, str], function: Callable[..., int], *arguments: Any) -> None:
    os.environ |= told
    for stream, name in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(place.with_suffix(name), os.O_WRONLY | os.O_CREAT, 0o600), stream)
    sys.exit(function(*arguments))
