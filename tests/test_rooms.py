"""The floors of the house: imports run downwards, and what needs no torch imports none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from forked import apart, modules_among

ROOT = Path(__file__).parents[1]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"


def lint(config: Path) -> subprocess.CompletedProcess:
    """Run the linter in a process of its own: it configures logging for all."""
    return subprocess.run(
        [sys.executable, "-c", LINT, str(config)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def changed(tmp_path: Path, before: str, after: str) -> Path:
    text = (ROOT / "pyproject.toml").read_text()
    assert before in text
    (tmp_path / "pyproject.toml").write_text(text.replace(before, after, 1))
    return tmp_path / "pyproject.toml"


def test_imports_run_downwards_and_the_lower_rooms_without_torch():
    run = lint(ROOT / "pyproject.toml")
    assert run.returncode == 0, run.stdout
    assert "2 kept, 0 broken" in run.stdout


def test_an_import_that_runs_upwards_would_be_found(tmp_path):
    run = lint(changed(tmp_path, '"frames",\n    "trajectories",', '"trajectories",\n    "frames",'))
    assert run.returncode == 1
    assert "rfm.frames.npz.file -> rfm.trajectories.npz_header" in run.stdout


def test_no_room_is_forgotten(tmp_path):
    run = lint(changed(tmp_path, '    "audit",\n', ""))
    assert run.returncode == 1
    assert "rfm.audit" in run.stdout + run.stderr


def test_what_only_videos_and_pictures_need_is_imported_where_they_are_met(tmp_path):
    """A machine that trains on .npz files needs no PyAV, which is larger than all else that torch does not bring."""
    unwanted = ("av", "simplejpeg", "matplotlib", "h5py", "ray", "openai", "wandb")
    found = apart(tmp_path / "said", modules_among, *unwanted, "rfm.training.run", "rfm.inference.predictor")
    assert not found.failed, found.errors
    assert found.output == "rfm.inference.predictor rfm.training.run"
