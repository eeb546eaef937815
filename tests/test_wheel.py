"""Wheel and sdist as people get them: away from the clone and from any network, with all files that they need."""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from rfm.files.cache import cache_folder
from rfm.vqa.dataset import load_dataset

ROOT = Path(__file__).parents[1]
MOST_BYTES = 40e6
NEEDED = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "uv.lock", "docs", "scripts", "rfm")
"""What the sdist is built from here; of the other files that MANIFEST.in names it would hold copies alone."""
SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"
NO_NETWORK = """
import socket

def refused(*_, **__):
    raise OSError("this process has no network")

connect = socket.socket.connect  # torch hands over tensors of its workers by sockets of this machine
socket.socket.connect = lambda self, to: connect(self, to) if self.family == socket.AF_UNIX else refused()
socket.socket.connect_ex = socket.getaddrinfo = refused
"""
CLIENT = """
import numpy as np
import rfm

model: rfm.RewardModel = rfm.RewardModel.from_pretrained()
said: rfm.Progress = model.progress(np.zeros((2, 8, 8, 3), np.uint8), "open the drawer")
expected: float = said.expected
curves: list[rfm.Curve] = model.curve(["a.mp4", "b.mp4"], tasks=["open the drawer"] * 2)
reveal_type(model.prefer("a.mp4", "b.mp4", "open the drawer").agree)
model.progress("a.mp4", task=3)
rfm.load_dataset("rows", nothing=1)
"""
CLIENT_SETTINGS = """
[mypy]
strict = True
follow_imports = skip
[mypy-rfm,rfm.errors,rfm.scoring.*,rfm.steps]
follow_imports = silent
"""
"""What the public names are typed by; following torch and the rest takes half a minute and shows no more."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of the clone, and the wheel that is made from the sdist alone."""
    there = {name: version(name) for name in ("pip", "setuptools") if importlib.util.find_spec(name)}
    if len(there) < 2 or int(there["setuptools"].split(".")[0]) < 77:
        pytest.skip(f"needs pip, and setuptools 77 or later to build the wheel; there are {there}")
    place = tmp_path_factory.mktemp("packages")
    for name in NEEDED:
        into, here = place / "clone" / name, ROOT / name
        into.parent.mkdir(exist_ok=True)
        if here.is_dir():
            shutil.copytree(here, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here, into)
    _run([sys.executable, "-c", SDIST], place / "clone")
    [sdist] = (place / "clone" / "dist").glob("*.tar.gz")
    shutil.move(sdist, place)
    alone = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", "."]
    _run([*_PIP, "wheel", *alone, sdist.name], place)
    return place


_PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """An environment into which the wheel was installed; what it depends on is that of this process."""
    place = built / "environment"
    venv.create(place, symlinks=True)
    [wheel] = built.glob("*.whl")
    python = str(place / "bin" / "python")
    _run([*_PIP, "--python", python, "install", "--no-deps", "--no-index", str(wheel)], built)
    [site] = place.glob("lib/python*/site-packages")
    (site / "sitecustomize.py").write_text(NO_NETWORK)
    (site / "dependencies.pth").write_text(
        "".join(f"{path}\n" for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    )
    return place


def _run(command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def away(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that knows nothing of the clone, with an empty home."""
    unknown = ("HF_", "RFM_", "PYTEST", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unknown)}
    home = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return {**kept, **home, "OMP_NUM_THREADS": "1"}


def test_both_hold_what_they_should(built: Path) -> None:
    [sdist], [wheel] = built.glob("*.tar.gz"), built.glob("*.whl")
    assert max(sdist.stat().st_size, wheel.stat().st_size) < MOST_BYTES
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rfm").rglob("*") if path.is_file()}
    ours |= {f"rfm/ingest/metaworld_mini/{name}" for name in _below(ROOT / "data" / "metaworld_mini")}
    ours = {path for path in ours if "__pycache__" not in path}
    with zipfile.ZipFile(wheel) as file:
        assert {name for name in file.namelist() if ".dist-info/" not in name} == ours
    with tarfile.open(sdist) as packed:
        inside = {name.partition("/")[2] for name in packed.getnames()}
    assert {*ours, "docs/ingest.md", "scripts/train_vqa_sft.py", "CHANGELOG.md", "uv.lock"} <= inside


def _below(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def test_it_scores_a_video_offline(installed: Path, away: dict[str, str], tmp_path: Path) -> None:
    [video, *_] = sorted((ROOT / "data" / "metaworld_mini" / "videos").glob("*.mp4"))
    shutil.copy(video, tmp_path / "attempt.mp4")
    command = [str(installed / "bin" / "rfm"), "score", "attempt.mp4", "--task", "press the handle"]
    said = _run([*command, "--device", "cpu", "--output", "scores.csv"], tmp_path, away)
    assert "attempt.mp4" in said
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == sorted(int(row["frame"]) for row in rows)
    assert len(rows) > 16
    assert {row["model"] for row in rows} == {"metaworld-small"}
    assert all(0 <= float(row["low"]) <= float(row["progress"]) <= 1 for row in rows)


def test_questions_and_a_page_need_no_configuration(installed: Path, away: dict[str, str], tmp_path: Path) -> None:
    rfm, here = str(installed / "bin" / "rfm"), {**away, "RFM_CACHE": str(cache_folder())}  # of all tests, filled once
    _run([rfm, "generate", "--output_path", "questions", "--num_samples", "40", "--num_workers", "1"], tmp_path, here)
    assert {row["data_source"] for row in load_dataset(tmp_path / "questions")[0]} == {"metaworld_train"}
    _run([rfm, "browse", "questions", "--output_path", "page.html", "--max_rows", "4"], tmp_path, here)
    assert "Content-Security-Policy" in (tmp_path / "page.html").read_text()


@pytest.mark.long
def test_the_demo_in_small(installed: Path, away: dict[str, str], tmp_path: Path) -> None:
    here = {**away, "RFM_CACHE": str(cache_folder())}
    _run([str(installed / "bin" / "rfm"), "demo", "--steps", "5", "--output_dir", "demo"], tmp_path, here)
    assert (tmp_path / "demo" / "progress.png").stat().st_size > 10_000


def test_what_runs_is_the_wheel(installed: Path, away: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import rfm, rfm.configs as c, importlib.metadata as m; print(rfm.__file__, *c.__path__, m.version('rfm-vqa'))"
    )
    *found, numbered = _run([str(installed / "bin" / "python"), "-c", code], tmp_path, away).split()
    [site] = installed.glob("lib/python*/site-packages")
    assert found == [str(site / "rfm" / "__init__.py"), str(site / "rfm" / "configs")]
    [wheel] = installed.parent.glob("*.whl")
    assert wheel.name.startswith(f"rfm_vqa-{numbered}-")


def test_a_client_is_checked_by_its_types(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "mypy.ini").write_text(CLIENT_SETTINGS)
    python = str(installed / "bin" / "python")
    command = [sys.executable, "-m", "mypy", "--python-executable", python, "--no-color-output", "client.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    faults = [line for line in done.stdout.splitlines() if line.startswith("client.py") and "error: " in line]
    assert len(faults) == 2, done.stdout
    assert faults[0].startswith('client.py:10: error: No overload variant of "progress" of "RewardModel" matches')
    assert faults[1].startswith('client.py:11: error: Unexpected keyword argument "nothing" for "load_dataset"')
    assert 'client.py:9: note: Revealed type is "bool"' in done.stdout.replace("builtins.", "")


def test_it_has_no_network(installed: Path, away: dict[str, str], tmp_path: Path) -> None:
    code = "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError as error: print(error)"
    assert _run([str(installed / "bin" / "python"), "-c", code], tmp_path, away) == "this process has no network\n"
