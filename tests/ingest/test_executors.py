import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from robot_datasets import moving_square, write_video

from rfm.cli import run_command
from rfm.errors import ConfigError, MissingExtraError, RfmError
from rfm.ingest import executors
from rfm.ingest.episode import IngestOptions
from rfm.ingest.executors import run_local, run_ray

EPISODES = 9


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Videos of several lengths, one of them no video."""
    folder = tmp_path / "walks"
    lines = ["path,task"]
    for at in range(EPISODES):
        write_video(folder / f"{at}.mp4", moving_square(3 + 5 * at, at))
        lines.append(f"{at}.mp4,walk")
    (folder / "4.mp4").write_bytes(b"not a video")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


def ingested(videos: Path, name: str, *flags: str) -> dict[str, bytes]:
    output = videos.parent / name
    assert run_command(("ingest", "videos"), [str(videos), "--output", str(output), *flags], None) == 1
    files = {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert str(output).encode() in files.pop("walks.options.yaml")  # what was asked for, and no part of the dataset
    assert len(files) == EPISODES - 1 + 6  # frames; rows, state and two summaries; rejections; what it is made from
    return files


def test_workers_and_ray_give_the_bytes_of_one_process(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    alone = ingested(videos, "alone")
    assert ingested(videos, "local", "--num_workers", "2") == alone
    assert ingested(videos, "ray", "--executor", "ray", "--num_workers", "2") == alone


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"nothing answers at 127\.0\.0\.1:1 .*`ray start --head`, or unset it"):
        list(run_ray(abs, [1], 1))


SLOW = Exception("The current node timed out during startup. This could happen because some of the raylet failed")


def starting(*errors: Exception) -> tuple[SimpleNamespace, list[dict[str, Any]]]:
    """A Ray whose first starts end in these errors, and the settings of each start."""
    starts: list[dict[str, Any]] = []

    def init(**settings: Any) -> None:
        starts.append(settings)
        if len(starts) <= len(errors):
            raise errors[len(starts) - 1]

    return SimpleNamespace(init=init), starts


def test_a_cluster_that_starts_slowly_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    ray, starts = starting(SLOW, SLOW)
    executors._start(ray, num_cpus=2)
    assert starts == [{"address": "local", "num_cpus": 2}] * 3
    assert caplog.messages == [f"Ray took longer to start than it waits itself: start {at} of 4" for at in (2, 3)]


@pytest.mark.parametrize(("errors", "tried"), [((SLOW,) * 9, 4), ((OSError("AF_UNIX path too long"),) * 9, 1)])
def test_a_cluster_that_can_not_be_started_says_what_else_to_do(errors: tuple[Exception, ...], tried: int) -> None:
    ray, starts = starting(*errors)
    with pytest.raises(ConfigError) as raised:
        executors._start(ray)
    assert str(raised.value) == (
        f"`executor` ray must find a Ray cluster or start one here, but starting one gives: {errors[0]}; start one "
        "with `ray start --head` and give the same command again, or leave out --executor: --num_workers then counts "
        "processes of this machine, with the same bytes"
    )
    assert len(starts) == tried


def test_a_cluster_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

    def init(**_: Any) -> None:
        raise RuntimeError("Version mismatch: the cluster was started with Ray 2.1")

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ConfigError, match=f"must be a Ray cluster's, but connecting to {address} gives: Version m"):
            list(run_ray(abs, [1], 1))


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"needs the package ray: pip install 'rfm-vqa\[ray\]'"):
        list(run_ray(abs, [1], 1))


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(ConfigError, match="`executor` must be one of local, ray, but is `slurm`"):
        IngestOptions(executor="slurm")


def test_jobs_are_taken_as_there_is_room() -> None:
    taken = []

    def jobs() -> Iterator[int]:
        for number in range(-50, 0):
            taken.append(number)
            yield number

    results = run_local(abs, jobs(), 2)
    found = dict([next(results)])
    assert len(taken) <= 4
    found.update(results)
    assert found == {at: 50 - at for at in range(50)}


def test_a_killed_worker_ends_the_run_and_says_what_to_do() -> None:
    with pytest.raises(RfmError, match="one was killed, maybe for lack of memory: give the same command again"):
        list(run_local(os._exit, [1] * 4, 2))


def test_a_cluster_that_died_is_passed_over(tmp_path, monkeypatch):
    noted = tmp_path / "ray" / "ray_current_cluster"
    noted.parent.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert executors._cluster_here() is None
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        noted.write_text(address)
        assert executors._cluster_here() == address
    assert executors._cluster_here() is None
