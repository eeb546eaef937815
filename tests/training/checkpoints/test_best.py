"""The best checkpoint is the best evaluation's, however evaluations and checkpoints fall."""

import dataclasses
import json
import logging
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from runs import logged, tiny_run
from safetensors.torch import load_file
from vqa_fakes import fake_dataset

from rfm.errors import ConfigError
from rfm.training.checkpoints.best import MARK, Evaluation, best_kept, best_of, superseded
from rfm.training.monitoring.guards import NotFiniteError
from rfm.training.run import train

STEPS = st.sets(st.integers(1, 40), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 10, episodes=4)


def jumpy(dataset, folder, **changes):
    """A run whose loss rises and falls from one evaluation to the next."""
    values = {
        "max_steps": 6, "learning_rate": 3e-2, "lr_scheduler_type": "constant", "warmup_ratio": 0.0, "eval_steps": 1,
        "save_steps": 4, "save_total_limit": 1, "eval_dataset_path": str(dataset), "metric_for_best_model": "loss",
        "load_best_model_at_end": True,
    }  # fmt: skip
    return tiny_run(dataset, folder, **{**values, **changes})


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*"))


def script(monkeypatch, values):
    """Let evaluations find these losses, one after the other."""
    found = iter(values)
    monkeypatch.setattr("rfm.training.trainer.judge", lambda prediction: {"loss": next(found)})


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([3.0, 4.0, 3.5, 4.2, 6.0, 7.0], 1),
        ([5.0, 4.0, 3.5, 4.2, 6.0, 7.0], 3),
        ([5.0, 4.0, 3.5, 3.4, 6.0, 7.0], 4),
        ([5.0, 4.0, 3.0, 3.0, 3.0, 3.0], 3),
        ([5.0, 4.0, 3.5, 3.4, 3.3, 3.2], 6),
    ],
    ids=["before any save", "between saves", "at a save", "ties", "last"],
)
def test_the_best_between_saves_is_kept_and_becomes_final(dataset, tmp_path, monkeypatch, values, best):
    script(monkeypatch, values)
    final = train(jumpy(dataset, tmp_path))
    assert checkpoints(tmp_path) == sorted({f"checkpoint-{best}", "checkpoint-6"})
    assert same_weights(final, tmp_path / f"checkpoint-{best}")
    assert (tmp_path / f"checkpoint-{best}" / MARK).is_file() == (best not in (4, 6))
    assert logged(tmp_path, "eval_loss") == values


def test_a_higher_accuracy_and_a_lower_error_are_better(dataset, tmp_path, monkeypatch):
    for metric, best in (("preference_accuracy", "checkpoint-2"), ("progress_mae", "checkpoint-3")):
        values = iter([(0.5, 20.0), (0.7, 30.0), (0.6, 10.0), (0.7, 10.0)])

        def judged(prediction, values=values):
            return dict(zip(("preference_accuracy", "progress_mae"), next(values), strict=True)) | {"loss": 1.0}

        monkeypatch.setattr("rfm.training.trainer.judge", judged)
        folder = tmp_path / metric
        train(jumpy(dataset, folder, max_steps=4, save_steps=50, metric_for_best_model=metric))
        assert checkpoints(folder) == [best, "checkpoint-4"]


def test_only_due_checkpoints_stay_beside_the_best(dataset, tmp_path, monkeypatch):
    script(monkeypatch, [5.0, 4.0, 3.5, 4.2, 6.0, 7.0])
    train(jumpy(dataset, tmp_path, save_steps=2, save_total_limit=None))
    assert checkpoints(tmp_path) == ["checkpoint-2", "checkpoint-3", "checkpoint-4", "checkpoint-6"]


def test_the_best_by_epoch(dataset, tmp_path, monkeypatch):
    script(monkeypatch, [3.0, 4.0, 5.0])
    by_epoch = {"save_strategy": "epoch", "eval_strategy": "epoch", "save_steps": 500, "eval_steps": 500}
    final = train(jumpy(dataset, tmp_path, max_steps=-1, num_train_epochs=3.0, **by_epoch))
    assert checkpoints(tmp_path) == ["checkpoint-3", "checkpoint-9"]
    assert same_weights(final, tmp_path / "checkpoint-3")


def test_a_run_shorter_than_its_intervals_is_judged_at_its_end(dataset, tmp_path):
    final = train(jumpy(dataset, tmp_path, max_steps=2, eval_steps=500, save_steps=500))
    assert len(logged(tmp_path, "eval_loss")) == 1
    assert same_weights(final, tmp_path / "checkpoint-2")


def test_going_on_knows_the_best_by_its_step_and_not_by_an_old_path(dataset, tmp_path, monkeypatch):
    script(monkeypatch, [3.0, 4.0, 3.5, 4.2, 6.0, 7.0])
    whole = jumpy(dataset, tmp_path / "made" / "here", max_steps=3)
    train(whole)
    shutil.move(tmp_path / "made" / "here", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    final = train(dataclasses.replace(whole, output_dir="moved", max_steps=6, resume_from_checkpoint="latest"))
    assert checkpoints(tmp_path / "moved") == ["checkpoint-1", "checkpoint-6"]
    assert same_weights(final, tmp_path / "moved" / "checkpoint-1")


def test_going_on_by_another_metric_looks_through_the_evaluations_again(dataset, tmp_path, monkeypatch):
    values = iter([(0.5, 3.0), (0.6, 2.0), (0.9, 4.0), (0.7, 1.5)])

    def judged(prediction):
        accuracy, loss = next(values)
        return {"preference_accuracy": accuracy, "loss": loss}

    monkeypatch.setattr("rfm.training.trainer.judge", judged)
    options = jumpy(dataset, tmp_path, max_steps=3, save_steps=1, save_total_limit=None)
    train(options)
    other = {"metric_for_best_model": "preference_accuracy", "max_steps": 4, "resume_from_checkpoint": "latest"}
    final = train(dataclasses.replace(options, **other))
    assert same_weights(final, tmp_path / "checkpoint-3")


def test_going_on_without_the_best_checkpoint_says_so(dataset, tmp_path, monkeypatch, caplog):
    script(monkeypatch, [3.0, 4.0, 3.5, 3.2])
    options = jumpy(dataset, tmp_path, max_steps=3, save_steps=1, save_total_limit=None)
    train(options)
    shutil.rmtree(tmp_path / "checkpoint-1")
    with caplog.at_level(logging.WARNING, logger="rfm"):
        final = train(dataclasses.replace(options, max_steps=4, resume_from_checkpoint="latest"))
    assert "eval_loss 3 at step 1 was the best so far, but" in caplog.text
    assert "holds no whole checkpoint of it; the best that is kept is eval_loss 3.5 at step 3" in caplog.text
    assert same_weights(final, tmp_path / "checkpoint-4")


def test_evaluations_of_other_rows_do_not_compare(dataset, tmp_path, monkeypatch, caplog):
    script(monkeypatch, [3.0, 4.0, 5.0, 6.0])
    options = jumpy(dataset, tmp_path, max_steps=2)
    train(options)
    other = shutil.copytree(dataset, tmp_path / "other")
    changed = {"eval_dataset_path": str(other), "max_steps": 4, "resume_from_checkpoint": "latest"}
    with caplog.at_level(logging.WARNING, logger="rfm"):
        final = train(dataclasses.replace(options, **changed))
    assert f"`eval_dataset_path` is {other}, but was {dataset} before" in caplog.text
    assert same_weights(final, tmp_path / "checkpoint-3")


def test_a_metric_that_is_no_number_stops_the_run(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("rfm.training.trainer.judge", lambda _: {"loss": 1.0, "progress_mae": float("nan")})
    with pytest.raises(
        NotFiniteError, match=r"`eval_progress_mae` must be finite, but is nan at step 1; lower --learning_r"
    ):
        train(jumpy(dataset, tmp_path))


def test_checkpoints_and_evaluations_come_by_the_same_clock(dataset, tmp_path):
    with pytest.raises(ConfigError, match="`save_strategy` must be epoch as `eval_strategy` is with `metric_for_best"):
        jumpy(dataset, tmp_path, eval_strategy="epoch", eval_steps=500)


def test_a_clock_that_steps_back_deletes_nothing_new(dataset, tmp_path):
    options = tiny_run(dataset, tmp_path, max_steps=4, save_steps=2, save_total_limit=2)
    train(options)
    tomorrow = time.time() + 86_400
    for path in (*tmp_path.glob("checkpoint-*"), *tmp_path.glob("checkpoint-*/*")):
        os.utime(path, (tomorrow, tomorrow))
    train(dataclasses.replace(options, max_steps=10, resume_from_checkpoint="latest"))
    assert checkpoints(tmp_path) == ["checkpoint-10", "checkpoint-8"]


def test_an_earlier_checkpoint_is_gone_on_with_where_later_ones_are_not_in_the_way(dataset, tmp_path):
    options = tiny_run(dataset, tmp_path / "run", max_steps=3, save_steps=1)
    train(options)
    first = dataclasses.replace(options, resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-1"))
    expected = (
        r"must be the last checkpoint in `output_dir`, but .*checkpoint-1 is followed by checkpoint-2, checkpoint-3; "
        r"pass latest, move those elsewhere, or pass another --output_dir"
    )
    with pytest.raises(ConfigError, match=expected):
        train(first)
    train(dataclasses.replace(first, output_dir=str(tmp_path / "fork")))
    assert checkpoints(tmp_path / "fork") == ["checkpoint-2", "checkpoint-3"]
    for later in (2, 3):
        shutil.move(tmp_path / "run" / f"checkpoint-{later}", tmp_path)
    train(first)


@given(steps=STEPS, marked=STEPS, best=st.integers(1, 40), limit=st.none() | st.integers(1, 5))
def test_what_may_go_leaves_the_newest_the_best_and_as_many_as_asked_for(steps, marked, best, limit):
    newest = max(steps)
    kept_best = best if best in steps else None
    left = steps - set(superseded(steps, marked, newest, kept_best, limit))
    stay = {newest} | ({kept_best} - {None})
    assert stay <= left
    assert not (left - stay) & marked
    if limit is not None:
        assert len(left) <= max(limit, len(stay))
    due = sorted(steps - marked - stay)
    assert sorted(left - stay) == due[len(due) - len(left - stay) :]


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1))
def test_of_equal_evaluations_the_first_is_the_best(values):
    found = [Evaluation(step, value) for step, value in enumerate(values)]
    assert best_of(found, greater=False) == found[values.index(min(values))]
    assert best_of(found, greater=True) == found[values.index(max(values))]
    assert best_of([], greater=True) is None


def test_damaged_checkpoints_are_no_best(tmp_path):
    history = [{"step": 1, "eval_loss": 1.0}, {"step": 1, "loss": 0.0}, {"step": 2, "eval_loss": 2.0}]
    assert best_kept(history, "eval_loss", tmp_path, greater=False) is None
    for step, listed in ((1, {"model.safetensors": 5}), (2, {})):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "checkpoint_files.json").write_text(json.dumps(listed))
    assert best_kept(history, "eval_loss", tmp_path, greater=False) == Evaluation(2, 2.0)
