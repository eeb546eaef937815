"""`rfm serve`: binds the port, loads the model, serves until it is told to end, and finishes what it has taken on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn

from rfm.errors import ConfigError
from rfm.serving.app import made_app
from rfm.serving.check import check
from rfm.serving.connections import TimedConnection
from rfm.serving.logs import say, set_up_logs
from rfm.serving.options import ServeOptions, url_of
from rfm.serving.problems import Problem
from rfm.serving.service import Service

logger = logging.getLogger(__name__)

_KEEP_ALIVE = 15
_ENDING_SECONDS = 600
"""For what was taken on to be answered after the server was told to end."""
_MOST_HEAD = 2**16


def serve(options: ServeOptions) -> int:
    """Run `rfm serve`."""
    if options.check:
        return check(options)
    with _listening(options) as bound:
        set_up_logs()
        service = Service(options)
        asyncio.run(_serve(service, bound))
    return 0


@contextlib.contextmanager
def _listening(options: ServeOptions) -> Iterator[socket.socket]:
    """Take the port before the model is loaded; ConfigError where it is taken."""
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"`host` must be an address of this machine, but is {options.host} ({error})") from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"`port` must be free, but {options.port} is taken; --port 0 finds one") from error
            raise ConfigError(f"`host` must be an address of this machine, but is {options.host} ({error})") from error
        yield bound


async def _serve(service: Service, bound: socket.socket) -> None:
    await service.start()
    server = _Server(_config(service), service)
    with _signals(server, service):
        try:
            await server.serve(sockets=[bound])
        finally:
            service.stopping = True
            await service.stop()
    say(logger, logging.INFO, "ended")


def _config(service: Service) -> uvicorn.Config:
    options = service.options
    return uvicorn.Config(
        made_app(service),
        http=TimedConnection,
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_ENDING_SECONDS,
        h11_max_incomplete_event_size=_MOST_HEAD,
        ws_max_size=options.most_message,
        ws_per_message_deflate=False,  # a message of a kilobyte could hold a gigabyte
        backlog=1024,
    )


class _Server(uvicorn.Server):
    """uvicorn, but for signals: those are this program's, which has processes to end after it."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        state = self.server_state
        service.connections = lambda: max(len(state.connections), len(state.tasks))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so: from then on nobody is refused."""
        await super().startup(sockets)
        [bound] = sockets or []
        url = url_of(*bound.getsockname()[:2])
        model = self._service.fleet.description
        say(logger, logging.INFO, "serving", url=url, model=model.name, fingerprint=model.fingerprint)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


@contextlib.contextmanager
def _signals(server: _Server, service: Service) -> Iterator[None]:
    """SIGTERM and SIGINT end the server once all is answered, the second of them at once; SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def end() -> None:
        say(logger, logging.INFO, "ending", answering=service.admission.requests)
        server.force_exit = server.should_exit
        server.should_exit = service.stopping = True

    def reload() -> None:
        task = asyncio.ensure_future(_reload(service))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


async def _reload(service: Service) -> None:
    with contextlib.suppress(Problem):  # the log has it
        await service.reload()
