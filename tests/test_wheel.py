"""The wheel as people get it: away from the clone and from any network, with the model and all files it needs."""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_NETWORK = """
import socket

def refused(*_, **__):
    raise OSError("this process has no network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refused
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the built wheel alone was installed; what it depends on is that of the environment."""
    there = {name: version(name) for name in ("pip", "setuptools") if _is_here(name)}
    if len(there) < 2 or int(there["setuptools"].split(".")[0]) < 77:
        pytest.skip(f"needs pip, and setuptools 77 or later to build the wheel; there are {there}")
    place = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / name)
    shutil.copytree(ROOT / "rfm", place / "rfm", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index", "--no-build-isolation"]
    _run([*pip, "wheel", *alone, "--wheel-dir", "dist", "."], place)
    [wheel] = (place / "dist").glob("*.whl")
    _run([*pip, "install", *alone, "--target", "site", str(wheel)], place)
    (place / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    return place / "site"


def _is_here(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _run(command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def away(installed: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that knows the wheel alone, with an empty home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "RFM_", "PYTEST"))}
    home = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return {**kept, **home, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}


def test_it_scores_a_video_offline(installed: Path, away: dict[str, str], tmp_path: Path) -> None:
    [video, *_] = sorted((ROOT / "data" / "metaworld_mini" / "videos").glob("*.mp4"))
    shutil.copy(video, tmp_path / "attempt.mp4")
    command = [sys.executable, str(installed / "bin" / "rfm"), "score", "attempt.mp4", "--task", "press the handle"]
    said = _run([*command, "--device", "cpu", "--output", "scores.csv"], tmp_path, away)
    assert "attempt.mp4" in said
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == sorted(int(row["frame"]) for row in rows)
    assert len(rows) > 16
    assert {row["model"] for row in rows} == {"metaworld-small"}
    assert all(0 <= float(row["low"]) <= float(row["progress"]) <= 1 for row in rows)


def test_what_runs_is_the_wheel(installed: Path, away: dict[str, str], tmp_path: Path) -> None:
    code = "import rfm, pathlib, rfm.configs as c; print(pathlib.Path(rfm.__file__).parents[1]); print(c.__path__[0])"
    found = _run([sys.executable, "-c", code], tmp_path, away).split()
    assert found == [str(installed), str(installed / "rfm" / "configs")]
    assert sorted(path.name for path in (installed / "rfm" / "configs").glob("*.yaml")) == sorted(
        path.name for path in (ROOT / "rfm" / "configs").glob("*.yaml")
    )
    assert {path.name for path in installed.iterdir()} == {
        "bin", "rfm", "sitecustomize.py", *(path.name for path in installed.glob("*.dist-info"))
    }  # fmt: skip


def test_it_has_no_network(away: dict[str, str], tmp_path: Path) -> None:
    code = "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError as error: print(error)"
    assert _run([sys.executable, "-c", code], tmp_path, away) == "this process has no network\n"
