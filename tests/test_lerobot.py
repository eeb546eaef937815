"""Our model behind LeRobot's interface for reward models, with LeRobot itself."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from checkpoints import random_checkpoint
from rabc_reader import read_gains, read_weights
from relabelled import LENGTHS, films, options
from robot_datasets import write_lerobot
from scored_clips import film

import rfm
from rfm.errors import ConfigError, DataError, MissingExtraError
from rfm.scoring.relabelling.command import relabel

TOP, TASK = "observation.images.top", "push it"
FEATURE = {"dtype": "video", "shape": films()[0].shape[1:], "names": ["height", "width", "channels"]}


def test_without_lerobot_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lerobot", None)
    monkeypatch.setitem(sys.modules, "lerobot.configs.rewards", None)
    monkeypatch.delitem(sys.modules, "rfm.lerobot.library", raising=False)
    monkeypatch.delitem(sys.modules, "rfm.lerobot", raising=False)
    with pytest.raises(MissingExtraError, match=r"needs LeRobot of release 0.6 or later.*'rfm-vqa\[lerobot\]'"):
        importlib.import_module("rfm.lerobot")


@pytest.fixture(scope="module")
def rewards():
    """LeRobot's package of reward models, which has found ours."""
    reason = "needs LeRobot 0.6 or later, of the extra `lerobot`, for Python 3.12 or later"
    factory = pytest.importorskip("lerobot.rewards", reason=reason)
    parser = importlib.import_module("lerobot.configs.parser")
    parser.load_plugin("rfm.lerobot")
    return factory


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("model") / "cups", max_frames=4, discrete_progress=False)


@pytest.fixture(scope="module")
def model(checkpoint) -> rfm.RewardModel:
    return rfm.RewardModel.from_pretrained(checkpoint, "cpu")


@pytest.fixture
def made(rewards, checkpoint):
    """Make our model and its two pipelines as LeRobot does."""

    def make(**changes):
        config = rewards.make_reward_model_config("rfm", device="cpu", model_path=str(checkpoint), **changes)
        return rewards.make_reward_model(config), *rewards.make_reward_pre_post_processors(config)

    return make


def as_lerobot(frames: np.ndarray) -> torch.Tensor:
    """Bytes as LeRobot's datasets give them."""
    return torch.from_numpy(frames).movedim(-1, -3).float() / 255


def test_rewards_are_the_models_own_numbers(made, model):
    judge, before, behind = made()
    clips, tasks = [film(6, 0), film(6, 1)], [TASK, "pull it"]
    batch = before({TOP: torch.stack([as_lerobot(clip) for clip in clips]), "task": tasks})
    paid = judge.compute_reward(batch)
    assert (paid.shape, paid.dtype) == ((2,), torch.float32)
    own = [model.progress(clip, task).expected for clip, task in zip(clips, tasks, strict=True)]
    assert paid.tolist() == pytest.approx(own, abs=1e-5)
    assert abs(own[0] - own[1]) > 1e-4
    assert behind(paid).tolist() == paid.tolist()
    assert type(judge).__module__ == "rfm.lerobot.modeling_rfm"
    assert not judge.is_trainable
    assert sum(weight.numel() for weight in judge.parameters()) > 1e5


def test_pictures_alone_and_bytes_and_grey_are_clips_of_a_frame(made, model):
    judge, before, _ = made(default_task=TASK)
    frame = film(1)[0]
    own = model.progress(frame, TASK).expected
    for given in (as_lerobot(frame), as_lerobot(frame)[None], torch.from_numpy(frame).movedim(-1, 0)[None]):
        assert judge.compute_reward(before({TOP: given})).tolist() == pytest.approx([own], abs=1e-5)
    grey = np.repeat(frame[..., :1], 3, axis=-1)
    paid = judge.compute_reward(before({TOP: as_lerobot(grey)[None, :1]}))
    assert paid.tolist() == pytest.approx([model.progress(grey, TASK).expected], abs=1e-5)


def test_what_pads_the_beginning_is_not_shown(made, model):
    judge, before, _ = made()
    clip = film(3)
    padded = as_lerobot(clip[[0, 0, 0, 1, 2]])[None]
    flags = torch.tensor([[True, True, False, False, False]])
    paid = judge.compute_reward(before({TOP: padded, f"{TOP}_is_pad": flags, "task": [TASK]}))
    assert paid.tolist() == pytest.approx([model.progress(clip, TASK).expected], abs=1e-5)
    shown = judge.compute_reward(before({TOP: padded, "task": [TASK]}))
    assert abs(shown.item() - paid.item()) > 1e-4


def test_success_is_paid_where_progress_reaches_the_threshold(made, model):
    clip, batch = film(5), {TOP: as_lerobot(film(5))[None], "task": [TASK]}
    reached = model.progress(clip, TASK).expected
    for threshold, wanted in ((reached - 0.01, 1.0), (reached + 0.01, 0.0)):
        judge, before, _ = made(reward_output="success", success_threshold=threshold)
        assert judge.compute_reward(before(batch)).tolist() == [wanted]


def test_options_of_lerobots_commands_reach_it(rewards, checkpoint, monkeypatch):
    parser = importlib.import_module("lerobot.configs.parser")
    config_class = importlib.import_module("lerobot.configs.rewards").RewardModelConfig

    @dataclass
    class Command:
        reward_model: config_class

    @parser.wrap()
    def command(options: Command):
        return options.reward_model

    given = ["discover_packages_path=rfm.lerobot", "type=rfm", f"model_path={checkpoint}", "device=cpu"]
    monkeypatch.setattr(sys, "argv", ["command", *(f"--reward_model.{one}" for one in given)])
    found = command()
    assert (found.type, found.model_path) == ("rfm", str(checkpoint))


def test_what_is_saved_is_found_from_another_folder(made, rewards, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    config = rewards.make_reward_model_config("rfm", device="cpu", model_path=checkpoint.name, default_task=TASK)
    judge = rewards.make_reward_model(config)
    judge.save_pretrained(tmp_path / "saved")
    before, _ = rewards.make_reward_pre_post_processors(config)
    before.save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["config.json", "policy_preprocessor.json"]
    monkeypatch.chdir("/")
    again = type(judge).from_pretrained(tmp_path / "saved")
    config.pretrained_path, config.model_path = str(tmp_path / "saved"), str(checkpoint)
    with_path = rewards.make_reward_model(config)
    loaded = type(before).from_pretrained(tmp_path / "saved", config_filename="policy_preprocessor.json")
    batch = loaded({TOP: as_lerobot(film(4))[None]})
    assert batch["task"] == [TASK]
    paid = judge.compute_reward(batch).tolist()
    assert again.compute_reward(batch).tolist() == paid == with_path.compute_reward(batch).tolist()


def test_a_checkpoint_in_place_of_a_saved_folder_is_an_error(rewards, checkpoint):
    config = rewards.make_reward_model_config("rfm", device="cpu", pretrained_path=str(checkpoint))
    with pytest.raises(
        ConfigError, match=r"`pretrained_path` must be a folder that .* give a checkpoint as `model_path`"
    ):
        rewards.make_reward_model(config)


def test_wrong_options_are_errors(rewards):
    config_class = importlib.import_module("rfm.lerobot").RfmConfig
    with pytest.raises(ConfigError, match="`reward_output` must be one of progress, success, but is 'logits'"):
        config_class(device="cpu", reward_output="logits")
    with pytest.raises(ConfigError, match="`success_threshold` must be progress above 0 and at most 1, but is 90"):
        config_class(device="cpu", success_threshold=90)


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        ({TOP: torch.randn(1, 3, 8, 8)}, r"must be uint8, or floats from 0 to 1 .* but is torch.float32 from -"),
        ({TOP: torch.full((1, 3, 8, 8), float("nan"))}, "must be uint8, or floats from 0 to 1 .* from nan to nan"),
        ({TOP: torch.zeros(1, 8, 8, 3)}, r"channels before height and width, but has \(1, 8, 8, 3\)"),
        ({}, "`image_key` must name the observation to show, but is None; the batch has no pictures"),
        (
            {TOP: torch.zeros(1, 3, 8, 8), "observation.images.wrist": torch.zeros(1, 3, 8, 8)},
            "but is None; the batch has observation.images.top, observation.images.wrist",
        ),
        ({TOP: torch.zeros(2, 3, 8, 8), "task": ["a"]}, "`task` must hold an instruction a clip, 2, but holds 1"),
        ({TOP: torch.zeros(2, 3, 8, 8), "task": None}, "`task` must be in the batch, but is not"),
        (
            {TOP: torch.zeros(1, 2, 3, 8, 8), f"{TOP}_is_pad": torch.ones(1, 2)},
            "_is_pad` must leave a frame of each clip, but leaves none of one",
        ),
        (
            {TOP: torch.zeros(1, 2, 3, 8, 8), f"{TOP}_is_pad": torch.ones(1, 3)},
            r"_is_pad` must have shape \(1, 2\), as the frames have, but has \(1, 3\)",
        ),
    ],
)
def test_batches_that_cannot_be_meant_are_errors(made, batch, text):
    _, before, _ = made()
    with pytest.raises((ConfigError, DataError), match=text):
        before({"task": [TASK]} | batch)


def test_a_batch_that_was_not_prepared_is_an_error(made):
    judge, _, _ = made()
    with pytest.raises(ConfigError, match=r"must hold `observation.rfm.frames`, but does not: send it through"):
        judge.compute_reward({TOP: torch.zeros(1, 3, 8, 8), "task": [TASK]})


def test_lerobots_own_weights_are_those_of_our_reader(rewards, checkpoint, tmp_path):
    rabc = pytest.importorskip("lerobot.rewards.sarm.rabc", reason="needs pandas, of LeRobot's extra `dataset`")
    relabel(options(write_lerobot(tmp_path / "robot", films(), "v3.0"), checkpoint, tmp_path / "p.parquet"))
    theirs = rabc.RABCWeights(tmp_path / "p.parquet", chunk_size=3, device=torch.device("cpu"))
    assert len(theirs.progress_lookup) == sum(LENGTHS)
    gains, weights = (read(tmp_path / "p.parquet", 3) for read in (read_gains, read_weights))
    for at in range(sum(LENGTHS)):
        assert theirs._compute_delta(at) == pytest.approx(gains[at], abs=1e-7)
    found, said = theirs.compute_batch_weights({"index": torch.arange(sum(LENGTHS))})
    own = np.array([weights[at] for at in range(sum(LENGTHS))])
    assert found.tolist() == pytest.approx((own * len(own) / own.sum()).tolist(), abs=1e-4)
    assert said["mean_weight"] == pytest.approx(own.mean(), abs=1e-6)


def test_what_lerobot_loads_is_paid_what_relabelling_wrote(made, checkpoint, tmp_path):
    """The same numbers through LeRobot's own reading of a dataset and its collation."""
    datasets = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="needs LeRobot's extra `dataset`")
    root = tmp_path / "robot"
    written = datasets.LeRobotDataset.create(
        "them/robot", fps=10, root=root, features={TOP: FEATURE}, use_videos=True, robot_type="arm"
    )
    for frames in films():
        for frame in frames:
            written.add_frame({TOP: frame, "task": TASK})
        written.save_episode()
    written.finalize()
    relabel(options(root, checkpoint, tmp_path / "p.parquet"))
    progress = pq.read_table(tmp_path / "p.parquet")["progress_sparse"].to_pylist()
    dataset = datasets.LeRobotDataset("them/robot", root=root, video_backend="pyav")
    judge, before, _ = made()
    starts = np.cumsum([0, *LENGTHS[:-1]])
    for at in range(sum(LENGTHS)):
        first = int(starts[starts <= at].max())
        shown = [dataset[one] for one in range(first, at + 1)]
        batch = before({TOP: torch.stack([one[TOP] for one in shown])[None], "task": [shown[-1]["task"]]})
        assert judge.compute_reward(batch).item() == pytest.approx(progress[at], abs=1e-5)
