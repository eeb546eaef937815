"""The flags of `rfm serve`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from rfm.errors import ConfigError

MEGABYTE = 2**20
_MOST_MESSAGE = 8
EXECUTORS = ("local", "ray")
_REPLICA_DEVICES = ("auto", "cpu", "cuda")
_COUNTS = ("batch_size", "max_requests", "max_megabytes", "max_frames", "max_megapixels", "readers", "replicas")
_DEFAULT_MODEL = "metaworld-small"


@dataclass(frozen=True)
class ServeOptions:
    """Serve a reward model over HTTP: progress, curves and preferences, in batches, within bounds."""

    model: str = field(default=_DEFAULT_MODEL, metadata={"help": "Checkpoint folder or name on the hub"})
    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen on"})
    port: int = field(default=8000, metadata={"help": "Port to listen on; 0 takes a free one and logs it"})
    api_key_file: str | None = field(
        default=None, metadata={"help": "File of keys, one a line, of which each request must show one"}
    )
    insecure: bool = field(default=False, metadata={"help": "Listen on a public address without keys"})
    device: tuple[str, ...] = field(
        default=("auto",), metadata={"help": "A worker for each: auto (every CUDA GPU, else one), cuda:0 cuda:1, cpu"}
    )
    executor: str = field(
        default="local",
        metadata={
            "help": "Workers: processes of this machine, or replicas in a Ray cluster (extra `serve-ray`)",
            "choices": EXECUTORS,
        },
    )
    replicas: int = field(default=1, metadata={"help": "Workers of --executor ray, each on a GPU where there are some"})
    threads: int = field(default=0, metadata={"help": "Processor threads of each worker; 0: torch decides"})
    batch_size: int = field(default=32, metadata={"help": "Questions answered together, at most"})
    gather_ms: float = field(default=5.0, metadata={"help": "Milliseconds for which a question waits for others"})
    max_requests: int = field(default=256, metadata={"help": "Requests taken on at a time; more get 429"})
    max_megabytes: int = field(default=64, metadata={"help": "Size of a request, at most"})
    max_held_megabytes: int = field(default=512, metadata={"help": "Size of all requests taken on, at most"})
    max_frames: int = field(default=4096, metadata={"help": "Frames of a clip, at most"})
    max_megapixels: int = field(default=128, metadata={"help": "Millions of pixels of all frames kept of a clip"})
    max_seconds: float = field(default=3600.0, metadata={"help": "Length of a video, at most"})
    receive_seconds: float = field(default=60.0, metadata={"help": "Time in which a request must arrive"})
    decode_seconds: float = field(default=30.0, metadata={"help": "Time in which a file must be decoded"})
    wait_seconds: float = field(default=120.0, metadata={"help": "Time after which a question without answer gets 503"})
    readers: int = field(default=1, metadata={"help": "Processes that decode videos and .npz"})
    check: bool = field(
        default=False, metadata={"help": "Send a clip to the server that runs at --host and --port, and end"}
    )

    @property
    def most_message(self) -> int:
        """Bytes of a message of a session; each session may hold one while it arrives, so it is counted for each."""
        return min(self.max_megabytes, _MOST_MESSAGE) * MEGABYTE

    def __post_init__(self) -> None:
        faults = [*self._faults()]
        if faults:
            raise ConfigError("\n".join(faults))

    def _faults(self) -> Iterator[str]:
        yield from self._faults_of_executor()
        for name in _COUNTS:
            if getattr(self, name) < 1:
                yield f"`{name}` must be at least 1, but is {getattr(self, name)}"
        for name in ("max_seconds", "receive_seconds", "decode_seconds", "wait_seconds"):
            if not 0 < getattr(self, name) < 10**6:
                yield f"`{name}` must be more than 0 and less than a million, but is {getattr(self, name)}"
        if self.max_held_megabytes < self.max_megabytes:
            yield f"`max_held_megabytes` must be at least `max_megabytes`, but is {self.max_held_megabytes}"
        if not 0 <= self.gather_ms <= 1000:
            yield f"`gather_ms` must lie between 0 and 1000, but is {self.gather_ms}"
        if not 0 <= self.port <= 65535:
            yield f"`port` must lie between 0 and 65535, but is {self.port}"
        if self.threads < 0:
            yield f"`threads` must not be negative, but is {self.threads}"
        if not self.device or len({*self.device}) < len(self.device):
            yield f"`device` must name each device once, but is {' '.join(self.device)}"
        if not self.check and not self.insecure and self.api_key_file is None and not is_loopback(self.host):
            yield (
                f"`host` must be an address of this machine alone, as 127.0.0.1 is, but is {self.host}, where anybody "
                "could ask: give --api_key_file, or --insecure if the network is to be trusted"
            )

    def _faults_of_executor(self) -> Iterator[str]:
        if self.executor not in EXECUTORS:
            yield f"`executor` must be one of {', '.join(EXECUTORS)}, but is {self.executor}"
        if self.executor == "local" and self.replicas != 1:
            yield f"`replicas` must stand beside --executor ray, but is {self.replicas}; --device names workers here"
        if self.executor == "ray" and self.device not in [(one,) for one in _REPLICA_DEVICES]:
            yield (
                f"`device` must be one of {', '.join(_REPLICA_DEVICES)} beside --executor ray, but is "
                f"{' '.join(self.device)}; --replicas says how many"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(host: str, port: int) -> str:
    """Return the URL of a server; an IPv6 address stands in brackets there."""
    bare = ":" in host and not host.startswith("[")
    return f"http://[{host}]:{port}" if bare else f"http://{host}:{port}"
