"""An adapter of another package, installed as pip leaves it: the documents' example, run from the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE
from robot_datasets import moving_square, png

from rfm.frames.reader import read_frames
from rfm.trajectories.store import read_columns

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = (REPOSITORY / "docs" / "adapters.md").read_text()


def install(target: Path, module: str, name: str = "toy", package: str = "toy-robot", where: str = "toy_robot") -> None:
    """What `pip install --target` leaves of a package with one module and the entry point of the example."""
    info = target / f"{where}-1.0.dist-info"
    info.mkdir(parents=True)
    (target / f"{where}.py").write_text(module)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rfm.ingest]\n{name} = {where}:ADAPTER\n")


def rfm(target: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(target), str(REPOSITORY)])
    return subprocess.run(
        [sys.executable, "-m", "rfm", *arguments],
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def documented() -> str:
    (toml,) = re.findall(r"```toml\n(.*?)```", EXAMPLE, re.DOTALL)
    assert '[project.entry-points."rfm.ingest"]\ntoy = "toy_robot:ADAPTER"' in toml
    (module,) = re.findall(r"```python\n(.*?)```", EXAMPLE, re.DOTALL)
    return str(module)


def test_the_example_of_the_documents(tmp_path: Path) -> None:
    install(tmp_path / "site", documented())
    films = {"b": moving_square(4, 1), "a": moving_square(6, 2), "empty": moving_square(0)}
    for name, frames in films.items():
        (tmp_path / "recordings" / name).mkdir(parents=True)
        (tmp_path / "recordings" / name / "task.txt").write_text(f"do {name}\n")
        for at, frame in enumerate(frames):
            (tmp_path / "recordings" / name / f"{at:03d}.png").write_bytes(png(frame))
    assert re.search(r"rfm ingest toy +an adapter of toy-robot 1.0", rfm(tmp_path / "site", "ingest", "--help").stdout)
    assert "--orientation" in rfm(tmp_path / "site", "ingest", "toy", "--help").stdout
    out = tmp_path / "out"
    labels = ("--label", "successful", "--num_workers", "2", "--output", str(out))
    ran = rfm(tmp_path / "site", "ingest", "toy", str(tmp_path / "recordings"), *labels)
    assert ran.returncode == 1, ran.stderr
    rows = read_columns(out / "recordings", ("id", "task", "quality_label", "num_frames", "frames")).to_pylist()
    assert [(row["id"], row["task"], row["quality_label"]) for row in rows] == [
        ("recordings_a", "do a", "successful"),
        ("recordings_b", "do b", "successful"),
    ]
    for row, name in zip(rows, "ab", strict=True):
        assert np.array_equal(read_frames(out, row["frames"], range(row["num_frames"])), films[name])
    (line,) = (out / "recordings" / "rejected.jsonl").read_text().splitlines()
    assert "must hold pictures (*.png), but has none" in json.loads(line)["reason"]


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import nothing_of_that_name", "must load, but toy_robot:ADAPTER gives ModuleNotFoundError: No module named"),
        ("ADAPTER_ = 1", "must load, but toy_robot:ADAPTER gives AttributeError"),
        ("raise SystemError('x')", "must load, but toy_robot:ADAPTER gives SystemError: x"),
        ("ADAPTER = 1", "must be an rfm.ingest.adapters.Adapter, but is int"),
        (
            "from rfm.ingest.adapters import Adapter\nADAPTER = Adapter(dict, print)",
            "must have options derived from rfm.ingest.options.DatasetOptions, but has <class 'dict'>",
        ),
    ],
)
def test_a_package_that_cannot_be_used_is_named(tmp_path: Path, module: str, reason: str) -> None:
    install(tmp_path / "site", module)
    ran = rfm(tmp_path / "site", "ingest", "toy", "x", "--output", str(tmp_path / "out"))
    assert ran.returncode == 1
    assert "error: `rfm ingest toy` of toy-robot" in ran.stderr
    assert reason in ran.stderr
    assert "Traceback" not in ran.stderr


def test_names_that_are_taken(tmp_path: Path) -> None:
    install(tmp_path / "site", documented(), name="videos")
    install(tmp_path / "site", documented(), package="toy-two", where="toy_two")
    install(tmp_path / "site", documented(), package="toy-three", where="toy_three")
    overview = rfm(tmp_path / "site", "ingest").stderr
    assert "an adapter of toy-robot 1.0, whose name is taken: it can't be called" in overview
    assert "an adapter of toy-three 1.0 and of toy-two 1.0" in overview
    assert "--manifest" in rfm(tmp_path / "site", "ingest", "videos", "--help").stdout
    ran = rfm(tmp_path / "site", "ingest", "toy", "x", "--output", str(tmp_path / "out"))
    assert "must come from one package, but is toy-three 1.0 and of toy-two 1.0: keep one" in ran.stderr
