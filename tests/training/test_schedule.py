"""Schedules, saving and evaluating by steps and epochs, trackers: the flags in real runs."""

import sys
import types

import pytest
from runs import logged, tiny_run
from vqa_fakes import fake_dataset

from rfm.cli import run_command
from rfm.errors import MissingExtraError
from rfm.training.monitoring.tracker import check_tracker
from rfm.training.options import SCHEDULERS
from rfm.training.run import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 8, episodes=4)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_schedule_runs_as_its_name_says(dataset, tmp_path, name):
    warm = {} if name == "constant" else {"warmup_ratio": 0.34}
    train(tiny_run(dataset, tmp_path, lr_scheduler_type=name, max_steps=6, save_strategy="no", **warm))
    rates = logged(tmp_path, "learning_rate")
    warms, stays = name != "constant", name.startswith("constant")
    assert (rates[0] < rates[3]) == warms
    assert rates[3] == pytest.approx(3e-3)
    assert rates[5] == pytest.approx(3e-3) if stays else rates[5] < rates[4] < rates[3]


@pytest.mark.parametrize(("saving", "saved"), [("epoch", [2, 4]), ("no", []), ("steps", [3, 4])])
def test_saving_strategies(dataset, tmp_path, saving, saved):
    steps = {"save_steps": 3} if saving == "steps" else {}
    train(tiny_run(dataset, tmp_path, max_steps=-1, num_train_epochs=2.0, save_strategy=saving, **steps))
    assert sorted(int(path.name.rpartition("-")[2]) for path in tmp_path.glob("checkpoint-*")) == saved
    assert (tmp_path / "final").is_dir()


def test_evaluating_and_keeping_the_best_by_epoch(dataset, tmp_path):
    train(
        tiny_run(
            dataset, tmp_path, max_steps=-1, num_train_epochs=2.0, save_strategy="epoch", eval_strategy="epoch",
            eval_dataset_path=str(dataset), metric_for_best_model="loss", load_best_model_at_end=True,
        )
    )  # fmt: skip
    assert len(logged(tmp_path, "eval_loss")) == 2


def test_steps_go_before_epochs(dataset, tmp_path):
    train(tiny_run(dataset, tmp_path, max_steps=3, num_train_epochs=50.0, save_strategy="no"))
    assert len(logged(tmp_path, "loss")) == 3


def test_defaults_that_are_true_are_switched_off_on_the_command_line(dataset, tmp_path):
    flags = [f"--dataset_path={dataset}", "--model_name=tiny", f"--output_dir={tmp_path}", "--max_steps=1"]
    flags += ["--no_bf16", "--no_gradient_checkpointing", "--save_strategy=no", "--run_name=mine"]
    assert run_command(("train",), [*flags, "--dataloader_num_workers=0"], program="rfm train") == 0
    assert list((tmp_path / "runs" / "mine").glob("events.out.tfevents.*"))
    text = (tmp_path / "final" / "training_options.json").read_text()
    assert '"bf16": false' in text
    assert '"gradient_checkpointing": false' in text


def test_a_tracker_that_is_not_installed(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("rfm.training.monitoring.tracker.find_spec", lambda name: None)
    options = tiny_run(dataset, tmp_path / "out", report_to="wandb")
    with pytest.raises(
        MissingExtraError, match=r"`report_to` wandb needs wandb, which is not installed; pip install 'rfm"
    ):
        train(options)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("rfm.training.monitoring.tracker.find_spec", lambda name: types.SimpleNamespace(name=name))
    check_tracker(options)
