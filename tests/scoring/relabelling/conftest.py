"""The model and the dataset of the tests of `rfm relabel`."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoints import random_checkpoint
from relabelled import films
from robot_datasets import write_lerobot

import rfm
from rfm.scoring.relabelling import jobs as jobs_module


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("model") / "cups", max_frames=4, discrete_progress=False)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> rfm.RewardModel:
    return rfm.RewardModel.from_pretrained(checkpoint, "cpu")


@pytest.fixture(params=["v2.1", "v3.0"])
def lerobot(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return write_lerobot(tmp_path / "their_robot", films(), request.param)


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job an episode, so that there are several."""
    monkeypatch.setattr(jobs_module, "_PREFIXES", 1)
