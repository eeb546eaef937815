"""One clip has one value, however it is asked about: scored, relabelled, wrapped, paid anew or live."""

from __future__ import annotations

import csv
from pathlib import Path

import gymnasium
import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoints import random_checkpoint
from scored_clips import film

import rfm
from rfm.cli import run_command
from rfm.frames.npz.file import write_npz
from rfm.rl import RewardWrapper, relabel
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset

TASK = "put the cup on the shelf"
FRAMES = film(9, size=64)


class Shown(gymnasium.Env):
    """The recording, step by step."""

    observation_space = gymnasium.spaces.Box(0, 255, FRAMES.shape[1:], np.uint8)
    action_space = gymnasium.spaces.Discrete(1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return FRAMES[0], {}

    def step(self, action):
        self.at += 1
        return FRAMES[self.at], 0.0, self.at == len(FRAMES) - 1, False, {}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("model") / "cups", max_frames=4, discrete_progress=False)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> rfm.RewardModel:
    return rfm.RewardModel.from_pretrained(checkpoint, "cpu")


@pytest.fixture(scope="module")
def values(model: rfm.RewardModel) -> list[float]:
    """What `progress` says of each prefix."""
    found = [model.progress(FRAMES[: end + 1], TASK).expected for end in range(len(FRAMES))]
    assert np.ptp(found) > 1e-3
    return found


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A trajectory dataset of the recording, `clips`, below this folder."""
    (tmp_path / "clips" / "frames").mkdir(parents=True)
    path = "clips/frames/trajectory_a.npz"
    write_npz(tmp_path / path, FRAMES)
    row = Trajectory("a", TASK, "clips", path, FRAMES.shape, len(FRAMES), "successful")
    write_processed_dataset(tmp_path / "clips", [row])
    return tmp_path


def test_scored(checkpoint: Path, values: list[float], recording: Path) -> None:
    table = recording / "scores.csv"
    video = recording / "clips" / "frames" / "trajectory_a.npz"
    asked = ["--task", TASK, "--model", str(checkpoint), "--device", "cpu", "--output", str(table)]
    assert run_command(("score",), [str(video), *asked], "rfm score") == 0
    found = [float(row["progress"]) for row in csv.DictReader(table.open())]
    assert found == pytest.approx(values, abs=1e-5)


def test_relabelled(checkpoint: Path, values: list[float], recording: Path) -> None:
    asked = ["--model_path", str(checkpoint), "--datasets_root", str(recording), "--device", "cpu"]
    assert run_command(("relabel",), ["clips", *asked, "--output", str(recording / "p.parquet")], "rfm relabel") == 0
    assert pq.read_table(recording / "p.parquet")["progress"].to_pylist() == pytest.approx(values, abs=1e-5)


def test_wrapped_and_paid_anew(model: rfm.RewardModel, values: list[float]) -> None:
    env = RewardWrapper(Shown(), model, TASK, lambda observation: observation, every=1, mode="absolute")
    first = env.reset()[1]["progress"]
    paid = [env.step(0)[1] for _ in FRAMES[1:]]
    assert [first, *paid] == pytest.approx(values, abs=1e-5)
    ends = np.arange(len(paid)) == len(paid) - 1
    again = relabel(model, FRAMES[:-1], FRAMES[1:], TASK, terminated=ends, every=1, mode="absolute")
    assert again.tolist() == pytest.approx(values[1:], abs=1e-5)


def test_drawn_as_a_curve_and_followed_live(model: rfm.RewardModel, values: list[float]) -> None:
    tracker = model.tracker(TASK)
    assert [tracker.update(frame).expected for frame in FRAMES] == pytest.approx(values, abs=1e-5)
    assert model.curve(FRAMES, TASK).expected.tolist() == pytest.approx(values, abs=1e-5)


def test_behind_lerobots_interface(checkpoint: Path, values: list[float]) -> None:
    rewards = pytest.importorskip("lerobot.rewards", reason="needs LeRobot, of the extra `lerobot`")
    import torch

    import rfm.lerobot

    config = rfm.lerobot.RfmConfig(device="cpu", model_path=str(checkpoint))
    judge, (before, _) = rewards.make_reward_model(config), rewards.make_reward_pre_post_processors(config)
    pictures = torch.from_numpy(FRAMES).movedim(-1, 1).float() / 255
    batches = [
        before({"observation.images.top": pictures[None, : end + 1], "task": [TASK]}) for end in range(len(FRAMES))
    ]
    assert [judge.compute_reward(batch).item() for batch in batches] == pytest.approx(values, abs=1e-5)
