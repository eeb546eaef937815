"""Where jobs run: in processes of this machine, or as tasks of a Ray cluster.

In: a function of a module, and jobs that can be pickled. Out: (number of the job, result), in the order in which they
are done. Jobs are taken from their iterable as there is room, a few more than run at once, and results are small, so
memory does not grow with their number. An exception of a job ends the run, and so does a worker that is killed.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from rfm.errors import ConfigError, MissingExtraError
from rfm.processes import worker_killed, worker_pool

Job = TypeVar("Job")
Result = TypeVar("Result")

_QUEUED_PER_WORKER = 2
_SECONDS_TO_CONNECT = 10.0
_STARTS = 4
_OTHERWISE = "--num_workers then counts processes of this machine, with the same bytes"

logger = logging.getLogger(__name__)


def run_local(function: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[tuple[int, Result]]:
    """In `workers` processes, or in this one if it is the only one."""
    if workers == 1:
        yield from ((number, function(job)) for number, job in enumerate(jobs))
        return
    numbered = enumerate(jobs)
    running: dict[Future[Result], int] = {}
    with worker_pool(workers) as pool:
        while True:
            for number, job in islice(numbered, workers * _QUEUED_PER_WORKER - len(running)):
                running[pool.submit(function, job)] = number
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()


def run_ray(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int, *, on_gpus: bool = False
) -> Iterator[tuple[int, Result]]:
    """As `workers` tasks of one core at a time, in the cluster of `RAY_ADDRESS`, one that runs here, or a new one.

    `on_gpus`: of one GPU too, where the cluster has any; its workers live on from task to task, and keep their model.
    The function's module and the files that jobs name must be there on every machine. MissingExtraError without Ray.
    """
    ray = imported_ray()
    ours = not ray.is_initialized()
    if ours:
        connect(ray, workers)
    gpus = 1 if on_gpus and ray.cluster_resources().get("GPU", 0) >= 1 else 0
    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_calls=0, max_retries=0)(function)
    numbered = enumerate(jobs)
    running: dict[Any, int] = {}
    try:
        while True:
            for number, job in islice(numbered, workers - len(running)):
                running[remote.remote(job)] = number
            if not running:
                return
            for done in ray.wait(list(running), num_returns=1, fetch_local=False)[0]:
                yield running.pop(done), ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise worker_killed() from error
    finally:
        if ours:
            ray.shutdown()


EXECUTORS: dict[str, Callable[[Callable[[Any], Any], Iterable[Any], int], Iterator[tuple[int, Any]]]] = {
    "local": run_local,
    "ray": run_ray,
}


def imported_ray() -> Any:
    """Return Ray; MissingExtraError without it."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--executor ray needs the package ray: pip install 'rfm-vqa[ray]'") from error
    return ray


def connect(ray: Any, cores: int, otherwise: str = _OTHERWISE) -> bool:
    """Connect to the cluster of `RAY_ADDRESS`, one that runs here, or a new one of so many cores; else ConfigError.

    Returns whether it is a new one. `otherwise` says what does without a cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS") or _cluster_here() or "local"
    quiet = {"logging_level": "warning", "log_to_driver": False}
    if address == "local":
        _start(ray, otherwise, num_cpus=cores, include_dashboard=False, **quiet)
        return True
    _check_reachable(address)
    try:
        ray.init(address=address, **quiet)
    except Exception as error:  # ConnectionError, RuntimeError, or Exception itself
        raise ConfigError(f"RAY_ADDRESS must be a Ray cluster's, but connecting to {address} gives: {error}") from error
    return False


def _start(ray: Any, otherwise: str = _OTHERWISE, **settings: Any) -> None:
    """Start a cluster here, several times if need be: on a busy machine Ray's own processes give each other up."""
    for number in range(1, _STARTS + 1):
        try:
            ray.init(address="local", **settings)
            return
        except Exception as error:  # Exception itself for a start that took too long, any kind for what else fails
            if number < _STARTS and "timed out" in str(error):
                logger.warning("Ray took longer to start than it waits itself: start %d of %d", number + 1, _STARTS)
                continue
            raise ConfigError(
                f"`executor` ray must find a Ray cluster or start one here, but starting one gives: {error}; start one "
                f"with `ray start --head` and give the same command again, or leave out --executor: {otherwise}"
            ) from error


def _cluster_here() -> str | None:
    """Return the address of the cluster that runs on this machine; Ray itself waits for minutes for one that died."""
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # where `ray start` writes it
    try:
        address = noted.read_text(encoding="utf-8").strip()
        _check_reachable(address)
    except (OSError, ConfigError):
        return None
    return address or None


def _check_reachable(address: str) -> None:
    """ConfigError where nothing listens at host:port: Ray itself would try for minutes and end the process."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise ConfigError(
            f"RAY_ADDRESS must be the address of a Ray cluster, but nothing answers at {address} ({error}): "
            "start one with `ray start --head`, or unset it"
        ) from error
