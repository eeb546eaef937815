"""Runs that are killed with SIGKILL go on as if nothing had happened, wherever it hits them."""

import contextlib
import dataclasses
import logging
import os
import shutil
import signal
import time
from pathlib import Path

import kills
import pytest
import torch
from forked import started
from runs import losses, tiny_run
from safetensors.torch import load_file
from vqa_fakes import fake_dataset

from rfm.errors import ConfigError, DataError
from rfm.files.lock import exclusive
from rfm.training.run import train
from rfm.training.trainer import VQATrainer

STEPS = {"max_steps": 6, "save_steps": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 10, episodes=4)


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """The same run in one go."""
    return train(tiny_run(dataset, tmp_path_factory.mktemp("whole"), **STEPS))


def killed(options, moment) -> None:
    """Train in a process of its own that kills itself where `moment` says."""
    process = started(kills.train_until, moment, options)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    wait_for_lock(Path(options.output_dir))


def wait_for_lock(folder: Path) -> None:
    """Workers of a killed run, which hold its lock too, see its end at once, but not before it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(ConfigError), exclusive(folder, wait=False):
            return
        os.sched_yield()
    pytest.fail(f"{folder} is still locked")


@pytest.mark.parametrize(
    ("moment", "changes", "resumed_from"),
    [
        (kills.in_step_5, {}, 4),
        (kills.in_step_5, {"dataloader_num_workers": 2}, 4),
        (kills.in_step_5, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}, 4),
        (kills.in_weights, {}, 2),
        (kills.in_optimizer, {}, 2),
        (kills.before_the_seal, {"save_total_limit": 1}, 2),
        (kills.while_deleting_the_oldest, {"save_total_limit": 1}, 4),
        (kills.while_writing_final, {}, 6),
    ],
    ids=["step", "step-workers", "step-accumulation", "weights", "optimizer", "seal", "rotation", "final"],
)
def test_a_killed_run_reaches_the_same_losses_and_weights(
    dataset, whole, tmp_path, caplog, moment, changes, resumed_from
):
    options = tiny_run(dataset, tmp_path / "run", **STEPS, **changes)
    killed(options, moment)
    assert not (tmp_path / "run" / "final").exists()
    seen = []
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING, logger="rfm"):
        begin = VQATrainer._init_training_state
        patch.setattr(
            VQATrainer,
            "_init_training_state",
            lambda self, *a, **k: (begin(self, *a, **k), seen.append(self.state.global_step))[0],
        )
        final = train(dataclasses.replace(options, resume_from_checkpoint="latest"))
    assert seen == [resumed_from]
    passed_over = resumed_from == 2
    assert ("checkpoint-4 is passed over, it is not whole" in caplog.text) == passed_over
    if "gradient_accumulation_steps" in changes:
        whole = train(tiny_run(dataset, tmp_path / "whole", **STEPS, **changes))
    assert losses(tmp_path / "run") == losses(whole.parent)
    one, other = (load_file(folder / "model.safetensors") for folder in (final, whole))
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("shape", [{}, {"packing": True, "max_tokens": 500}], ids=["padded", "packed"])
def test_workers_let_go_of_the_folder_of_a_killed_run(dataset, tmp_path, shape):
    """More workers than batches: also those that were never given one."""
    killed(tiny_run(dataset, tmp_path, **STEPS, dataloader_num_workers=6, **shape), kills.beside_idle_workers)


def test_a_real_process_killed_while_it_saves(dataset, whole, tmp_path):
    """From outside, at whatever byte it happens to be."""
    options = tiny_run(dataset, tmp_path, **STEPS)
    process = started(train, options)
    while not (tmp_path / "checkpoint-4").exists() and process.is_alive():
        time.sleep(0.001)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    train(dataclasses.replace(options, resume_from_checkpoint="latest"))
    assert losses(tmp_path) == losses(whole.parent)


def test_nothing_whole_to_go_on_from(dataset, tmp_path):
    options = tiny_run(dataset, tmp_path, max_steps=1, save_steps=1)
    train(options)
    (tmp_path / "checkpoint-1" / "optimizer.pt").write_bytes(b"")
    with pytest.raises(
        DataError,
        match=r"must be a whole checkpoint, but .*checkpoint-1 is not: optimizer.pt must have \d+ bytes, but has 0",
    ):
        train(dataclasses.replace(options, resume_from_checkpoint=str(tmp_path / "checkpoint-1")))
    latest = dataclasses.replace(options, resume_from_checkpoint="latest")
    with pytest.raises(DataError, match=r"holds no whole checkpoint-\*, only checkpoint-1; .* --overwrite_output_dir"):
        train(latest)
    shutil.rmtree(tmp_path / "checkpoint-1")
    shutil.rmtree(tmp_path / "final")
    with pytest.raises(DataError, match=r"holds no checkpoint-\*; leave it out to train from the start$"):
        train(latest)
