"""Flags of `rfm serve` that can't be: said before anything is loaded."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from rfm.cli import run_command
from rfm.errors import ConfigError, MissingExtraError
from rfm.serving.keys import Keys
from rfm.serving.options import ServeOptions, is_loopback
from rfm.serving.replicas import Cluster


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_a_public_address_needs_keys(host: str) -> None:
    with pytest.raises(
        ConfigError, match=r"`host` must be an address of this machine alone, as 127\.0\.0\.1 is, but is"
    ):
        ServeOptions(host=host)
    assert ServeOptions(host=host, insecure=True).host == host
    assert ServeOptions(host=host, api_key_file="keys").host == host


def test_addresses_of_this_machine() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.8.0.1", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "localhost.example.org", ""]))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, but is 0"),
        ({"port": 70000}, "`port` must lie between 0 and 65535, but is 70000"),
        ({"gather_ms": -1.0}, "`gather_ms` must lie between 0 and 1000, but is -1.0"),
        ({"max_held_megabytes": 8}, "`max_held_megabytes` must be at least `max_megabytes`, but is 8"),
        ({"device": ("cpu", "cpu")}, "`device` must name each device once, but is cpu cpu"),
        ({"executor": "slurm"}, "`executor` must be one of local, ray, but is slurm"),
        ({"replicas": 2}, "`replicas` must stand beside --executor ray, but is 2; --device names workers here"),
        ({"executor": "ray", "replicas": 0}, "`replicas` must be at least 1, but is 0"),
        (
            {"executor": "ray", "device": ("cpu:0", "cpu:1")},
            "`device` must be one of auto, cpu, cuda beside --executor",
        ),
        ({"wait_seconds": float("inf")}, "`wait_seconds` must be more than 0 and less than a million, but is inf"),
    ],
)
def test_values_that_can_t_be(flags: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        ServeOptions(**flags)  # type: ignore[arg-type]


def test_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# none\n\n")
    with pytest.raises(ConfigError, match=r"`api_key_file` must hold a key a line, but .* holds none"):
        Keys.of_file(str(file))
    file.write_text("a-key-of-some-length-1\nshort\n")
    with pytest.raises(ConfigError, match=r"key 2 in .* must have at least 16 printable ASCII characters") as error:
        Keys.of_file(str(file))
    assert "short" not in str(error.value)
    keys = Keys(["a-key-of-some-length-1", "another-key-of-some-length"])
    assert keys.fit("Bearer another-key-of-some-length")
    assert keys.fit("bearer  a-key-of-some-length-1 ")
    assert not any(map(keys.fit, ["", "Bearer", "Bearer ", "Bearer a-key", "a-key-of-some-length-1", "Basic x"]))
    assert Keys([]).fit("")


def test_without_ray_serve_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.setitem(sys.modules, "ray.serve", None)
    monkeypatch.delattr("ray.serve", raising=False)
    with pytest.raises(MissingExtraError, match=r"needs Ray Serve: pip install 'rfm-vqa\[serve-ray\]'"):
        Cluster(ServeOptions(executor="ray"))


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["--port", str(taken.getsockname()[1])]
        assert run_command(("serve",), words, "rfm serve") == 1
    assert "`port` must be free, but" in capsys.readouterr().err
