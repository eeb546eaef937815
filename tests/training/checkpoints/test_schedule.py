"""A run that goes on follows its options as they are now, and says what the schedule does."""

import dataclasses
import logging

import pytest
from runs import logged, losses, tiny_run
from vqa_fakes import fake_dataset

from rfm.errors import ConfigError
from rfm.training.run import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 10, episodes=4)


def resumed(options, caplog, **changes) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="rfm"):
        train(dataclasses.replace(options, resume_from_checkpoint="latest", **changes))
    return next(record.getMessage() for record in caplog.records if record.getMessage().startswith("going on"))


def test_more_steps_follow_the_longer_schedule_from_the_first_one(dataset, tmp_path, caplog):
    options = tiny_run(dataset, tmp_path / "run", max_steps=4, save_steps=4)
    train(options)
    said = resumed(options, caplog, max_steps=8)
    train(tiny_run(dataset, tmp_path / "whole", max_steps=8, save_strategy="no"))
    rates, whole = (logged(tmp_path / name, "learning_rate") for name in ("run", "whole"))
    assert rates[4:] == whole[4:]
    assert rates[4] > 0
    assert said == (
        f"going on after step 4 of 8 with learning rate {whole[4]:.3g}: the cosine schedule spans 8 steps, not 4 as "
        f"before; the rate of step 5 is {whole[4]:.3g} and would have been 0"
    )


def test_more_epochs_say_the_same(dataset, tmp_path, caplog):
    options = tiny_run(dataset, tmp_path, max_steps=-1, num_train_epochs=1.0, save_strategy="epoch")
    train(options)
    assert "going on after step 3 of 6 with" in resumed(options, caplog, num_train_epochs=2.0)
    assert logged(tmp_path, "learning_rate")[3] > 0


def test_another_schedule_is_followed_and_said(dataset, tmp_path, caplog):
    options = tiny_run(dataset, tmp_path, max_steps=4, save_steps=2, lr_scheduler_type="constant", warmup_ratio=0.0)
    train(dataclasses.replace(options, max_steps=2))
    said = resumed(options, caplog, lr_scheduler_type="linear", max_steps=2 + 2)
    assert said.startswith(
        "going on after step 2 of 4 with learning rate 0.0015: the linear schedule spans 4 steps, not 2"
    )
    assert logged(tmp_path, "learning_rate")[2] == pytest.approx(1.5e-3)


def test_nothing_is_said_about_a_schedule_that_stays(dataset, tmp_path, caplog):
    options = tiny_run(dataset, tmp_path, max_steps=4, save_steps=2)
    train(options)
    for path in (tmp_path / "checkpoint-4").iterdir():
        path.unlink()
    (tmp_path / "checkpoint-4").rmdir()
    rates = logged(tmp_path, "learning_rate")
    assert resumed(options, caplog) == f"going on after step 2 of 4 with learning rate {rates[2]:.3g}"
    assert logged(tmp_path, "learning_rate") == rates


def test_a_run_that_has_made_all_its_steps_makes_none_more(dataset, tmp_path):
    """In the middle of an epoch, where the stock loop would make one."""
    options = tiny_run(dataset, tmp_path, max_steps=5, save_steps=5)
    train(options)
    before = losses(tmp_path)
    train(dataclasses.replace(options, resume_from_checkpoint="latest"))
    assert losses(tmp_path) == before
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-5"}


def test_fewer_steps_than_were_made_are_refused(dataset, tmp_path):
    options = tiny_run(dataset, tmp_path, max_steps=3, save_steps=3)
    train(options)
    expected = (
        r"`max_steps` must be >= 3 to go on with .*checkpoint-3, which has made so many, but is 2; raise it or --num"
    )
    with pytest.raises(ConfigError, match=expected):
        train(dataclasses.replace(options, max_steps=2, resume_from_checkpoint="latest"))


def test_new_intervals_of_saving_and_evaluating_take_effect(dataset, tmp_path):
    options = tiny_run(dataset, tmp_path, max_steps=2, save_steps=2, eval_dataset_path=str(dataset), eval_steps=2)
    train(options)
    new = {"max_steps": 5, "save_steps": 1, "eval_steps": 1, "resume_from_checkpoint": "latest"}
    train(dataclasses.replace(options, **new))
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [
        f"checkpoint-{step}" for step in (2, 3, 4, 5)
    ]
    assert len(logged(tmp_path, "eval_loss")) == 4
