"""A command that must fail, and what it is given."""

import pytest
from checkpoints import random_checkpoint
from vqa_fakes import fake_dataset, row, write_dataset, write_frames
from worlds import make_world

from rfm.cli import run_command


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fails(capsys, caplog):
    """Run a command that must fail; returns what the user sees."""

    def run(name, *arguments):
        status = run_command(name, [str(argument) for argument in arguments], f"rfm {' '.join(name)}")
        seen = capsys.readouterr().err
        assert status == 1
        assert "Traceback" not in seen
        return seen + caplog.text

    return run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"), "toy_train", episodes=6)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 6, episodes=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return random_checkpoint(tmp_path_factory.mktemp("model") / "final")


@pytest.fixture
def old_dataset(tmp_path):
    """What `Dataset.from_list` made of samples of two types: the second type has no paths."""
    first, second = ((path, [0, 5]) for path in write_frames(tmp_path, 2))
    rows = [row("preference", "1", "which?", first=first, second=second), row("progress", "5", "how far?")]
    return write_dataset(tmp_path / "old", tmp_path, rows)
