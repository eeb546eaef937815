"""`make versions`: the tests that matter, on the lowest and the newest dependencies of each supported Python.

    python tests/versions.py [--python 3.10 3.13] [--resolution lowest-direct highest] [--tests tests/frames …]

Environments are made by uv below `.versions/` and kept; each brings the torch of its platform (3 to 6 GB with CUDA). A
line for each says what was tested; the exit status is 1 where one failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUPPORTED = ("3.10", "3.11", "3.12", "3.13")
RESOLUTIONS = ("lowest-direct", "highest")
TESTS = (
    "tests/test_cli.py", "tests/test_workflow.py", "tests/frames", "tests/ingest/sources", "tests/ingest/hdf5",
    "tests/ingest/mcap", "tests/ingest/lerobot", "tests/trajectories", "tests/generation/test_generate.py", "tests/vqa",
    "tests/batch", "tests/model", "tests/training/test_run.py", "tests/training/test_interrupted.py",
    "tests/inference/test_predictor.py", "tests/inference/answering", "tests/evaluation/test_evaluate.py",
    "tests/export/test_merge.py", "tests/scoring/test_reward_model.py", "tests/scoring/videos",
    "tests/serving/test_answers.py", "tests/serving/test_client.py", "tests/serving/test_line.py",
)  # fmt: skip
EXTRAS = ("hdf5", "rlds", "zarr", "mcap", "serve")
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "dashscope", "openai")
ZARR = "zarr>=3; python_version >= '3.11'"
"""What writes the test data of `rfm ingest zarr`; it would lift the lowest numcodecs and numpy, so those tests skip."""
WHEELS = ("--only-binary", ":all:", "--no-binary", "antlr4-python3-runtime")
"""The lowest release that a Python can have is the first with a wheel for it: older sources do not build there."""
SHOWN = (
    "torch", "transformers", "peft", "accelerate", "datasets", "huggingface-hub", "av", "numpy", "pyarrow", "pillow",
    "h5py", "numcodecs", "mcap",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=SUPPORTED)
    parser.add_argument("--resolution", nargs="+", default=RESOLUTIONS, choices=RESOLUTIONS)
    parser.add_argument("--tests", nargs="+", default=TESTS)
    given = parser.parse_args()
    failed = [
        f"{python} {resolution}"
        for python in given.python
        for resolution in given.resolution
        if not tested(python, resolution, given.tests)
    ]
    sys.stdout.write(f"failed: {', '.join(failed)}\n" if failed else "all passed\n")
    return int(bool(failed))


def tested(python: str, resolution: str, tests: list[str]) -> bool:
    """Whether the tests pass; an interpreter that is not here is said and skipped."""
    interpreter = interpreter_of(python)
    if interpreter is None:
        sys.stdout.write(f"{python}: not here, skipped\n")
        return True
    place = ROOT / ".versions" / f"{python}-{resolution}"
    if not install(place, interpreter, resolution):
        sys.stdout.write(f"{python} {resolution}: can't be installed\n")
        return False
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [str(place / "bin" / "python"), "-m", "pytest", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, *tests], cwd=ROOT, env=environment, check=False)
    sys.stdout.write(f"{python} {resolution}: {'passed' if run.returncode == 0 else 'FAILED'} with {versions(place)}\n")
    return run.returncode == 0


def interpreter_of(python: str) -> str | None:
    """The path of such a Python: pyenv's, whose names on the PATH start none unless it is chosen, or what uv finds."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for interpreter in pyenv.glob(f"versions/{python}.*/bin/python"):
        return str(interpreter)
    found = subprocess.run([uv(), "python", "find", "--no-python-downloads", python], capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def install(place: Path, python: str, resolution: str) -> bool:
    """Make the environment, unless it is there; this package itself is installed too, for tests ask for its version."""
    if not place.is_dir() and subprocess.run([uv(), "venv", "-q", "-p", python, str(place)], check=False).returncode:
        return False
    settings = [*WHEELS, "--resolution", resolution, "-r", "pyproject.toml", *(f"--extra={name}" for name in EXTRAS)]
    tools = [*TOOLS, *([ZARR] if resolution == "highest" else [])]
    itself = ["--no-deps", "--editable", "."]
    command = [uv(), "pip", "install", "-q", "--no-config", "-p", str(place)]  # configured is what uv.lock leaves out
    runs = (subprocess.run([*command, *what], cwd=ROOT, check=False) for what in (settings, tools, itself))
    return all(run.returncode == 0 for run in runs)


def versions(place: Path) -> str:
    """What was installed, as `torch 2.6.0, …`."""
    listed = subprocess.run(
        [uv(), "pip", "freeze", "-p", str(place)], capture_output=True, text=True, check=True
    ).stdout
    pinned = dict(line.split("==") for line in listed.splitlines() if "==" in line)
    return ", ".join(f"{name} {pinned[name]}" for name in SHOWN if name in pinned)


def uv() -> str:
    """The path of uv: on the PATH, or beside this Python."""
    beside = Path(sys.executable).with_name("uv")
    found = shutil.which("uv") or (str(beside) if beside.is_file() else None)
    if found is None:
        raise SystemExit("uv must be installed, but is not: pip install uv")
    return found


if __name__ == "__main__":
    sys.exit(main())
