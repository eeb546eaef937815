"""`python -m rfm.metaworld_small`, without simulating or training."""

import logging
import sys
from pathlib import Path

import pytest

from rfm.cli import run_module
from rfm.errors import ConfigError
from rfm.metaworld_small import __main__ as command
from rfm.metaworld_small.__main__ import MetaworldSmallOptions


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list:
    """What sets and trainings are asked for."""
    asked: list = []
    monkeypatch.setattr(command, "make_sets", lambda folder, names, workers: asked.append(names) or folder / "root")
    monkeypatch.setattr(command, "train_model", lambda root, folder, steps: asked.append(steps) or folder / "final")
    monkeypatch.setattr(command, "release", lambda final, folder: folder)
    return asked


def _run(monkeypatch: pytest.MonkeyPatch, *words: str, function=command.main) -> int:
    monkeypatch.setattr(sys, "argv", ["metaworld_small", *words])
    return run_module(MetaworldSmallOptions, function, "python -m rfm.metaworld_small")


def test_all_sets_and_a_training_or_the_named_sets_alone(asked, tmp_path: Path, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "rfm"):
        assert _run(monkeypatch, "--output_dir", str(tmp_path), "--steps", "50") == 0
    assert f"model: {tmp_path / 'metaworld-small'}" in caplog.text
    assert _run(monkeypatch, "--output_dir", str(tmp_path), "--sets", "camera", "objects") == 0
    assert asked == [(), 50, ("camera", "objects")]


def test_a_set_that_is_none_and_too_few_steps_are_refused(asked, monkeypatch, capsys):
    assert _run(monkeypatch, "--steps", "4") == 1
    assert "error: `steps` must be at least 6, one a lesson, but is 4" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        _run(monkeypatch, "--sets", "moon")
    with pytest.raises(ConfigError, match=r"`sets` must be among train, more, compositions, .*, but one is 'moon'"):
        MetaworldSmallOptions(sets=("moon",))
    assert asked == []


def test_an_interruption_says_that_the_same_command_goes_on(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    assert _run(monkeypatch, function=interrupted) == 130
    assert "interrupted; the same command goes on where it stopped" in capsys.readouterr().err
