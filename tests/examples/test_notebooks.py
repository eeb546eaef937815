"""The notebooks run from the first cell to the last, and carry nothing of the machine that they were written on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from simulators import simulator

FOLDER = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def test_all_are_there():
    assert NOTEBOOKS == ["reward_in_rl.ipynb", "score_a_video.ipynb", "train_on_your_robot.ipynb"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_as_it_was_written(name):
    book = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("score_a_video.ipynb", "a success: "),
        ("train_on_your_robot.ipynb", "'preference': "),
        ("reward_in_rl.ipynb", "the model says "),
    ],
)
def test_a_notebook_runs(name, said, monkeypatch, tmp_path):
    if name == "reward_in_rl.ipynb":
        simulator("stable_baselines3")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("JUPYTER_PATH", str(_kernel_of_this_python(tmp_path)))
    book = nbformat.read(FOLDER / name, as_version=4)
    NotebookClient(book, timeout=300, kernel_name="this", resources={"metadata": {"path": str(FOLDER)}}).execute()
    told = [output.get("text", "") for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any(said in text for text in told), told


def _kernel_of_this_python(folder: Path) -> Path:
    """Write a kernel that runs the interpreter of the tests; returns the folder where Jupyter finds it."""
    kernel = folder / "jupyter" / "kernels" / "this"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "this", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    return folder / "jupyter"
