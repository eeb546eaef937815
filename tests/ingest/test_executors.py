import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

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
