"""The floors of the house: imports run downwards, and what needs no torch imports none."""

from __future__ import annotations

from pathlib import Path

from importlinter.cli import EXIT_STATUS_ERROR, EXIT_STATUS_SUCCESS, lint_imports

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_imports_run_downwards_and_the_lower_rooms_without_torch():
    assert lint_imports(config_filename=str(PYPROJECT), no_cache=True) == EXIT_STATUS_SUCCESS


def test_an_import_that_runs_upwards_would_be_found(tmp_path):
    upside_down = PYPROJECT.read_text().replace('"frames",\n    "trajectories",', '"trajectories",\n    "frames",')
    (tmp_path / "pyproject.toml").write_text(upside_down)
    assert lint_imports(config_filename=str(tmp_path / "pyproject.toml"), no_cache=True) == EXIT_STATUS_ERROR


def test_no_room_is_forgotten(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.read_text().replace('    "audit",\n', "", 1))
    assert lint_imports(config_filename=str(tmp_path / "pyproject.toml"), no_cache=True) == EXIT_STATUS_ERROR
