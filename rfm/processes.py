"""Worker processes: the one pool there is.

Workers end with the process that started them, however that ends, and so do those that a library forks. One that is
killed, by the system for lack of memory as a rule, ends the command with one message that says what to do. What workers
return is small, or taken at once.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.util import register_after_fork
from typing import Any

from rfm.errors import RfmError


@contextmanager
def worker_pool(
    workers: int, start: str = "spawn", begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, each of which calls `begin` first; RfmError where one is killed.

    They are spawned, as a forked one may inherit locks held by threads, unless `start` says otherwise.
    """
    context = multiprocessing.get_context(start)
    try:
        with ProcessPoolExecutor(workers, context, _begin, (begin, arguments)) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool as error:
        raise worker_killed() from error


def worker_killed() -> RfmError:
    """What to say of it."""
    return RfmError(
        "workers must live until their work is done, but one was killed, maybe for lack of memory: give the same "
        "command again, with fewer --num_workers; what is done is kept"
    )


def worker_number() -> int:
    """Return which of the workers this process is, in the order in which they were started; 0 outside of a pool."""
    name, _, number = multiprocessing.current_process().name.rpartition("-")
    return int(number) - 1 if name and number.isdigit() else 0


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    die_with_parent()
    if begin is not None:
        begin(*arguments)


class _Registered:
    """What `multiprocessing` remembers a function by, for as long as it lives."""


@contextmanager
def forked_die_with_parent() -> Iterator[None]:
    """Let processes that a library forks meanwhile end with this one, whose locks they hold too."""
    registered = _Registered()
    register_after_fork(registered, lambda _: die_with_parent())
    yield
    del registered


def die_with_parent() -> None:
    """End this worker when its parent is gone: a killed parent can't tell its pool to stop, which would wait on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
