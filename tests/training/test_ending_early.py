"""Runs that end early: what they say, and that the way on which they name is one."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import narrow_places
import pytest
from forked import apart
from narrow_places import needs_mounts
from patience import PATIENCE
from runs import losses, tiny_run
from torch.utils.data import get_worker_info
from vqa_fakes import fake_dataset

from rfm.batch.collator import VQACollator
from rfm.cli import run_command
from rfm.errors import RfmError
from rfm.training.command import way_on_command
from rfm.training.loading import LoadingError
from rfm.training.options import TrainOptions
from rfm.training.run import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 16, episodes=4)


def command(dataset, folder: Path, *flags: str) -> list[str]:
    return [
        sys.executable, "-m", "rfm", "train", f"--dataset_path={dataset}", f"--output_dir={folder}",
        "--model_name=tiny",
        "--learning_rate=1e-3", "--report_to=none", "--logging_steps=1", "--per_device_train_batch_size=4",
        "--gradient_accumulation_steps=1", *flags,
    ]  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **more,
    }


def interrupted(words: list[str], sign: str) -> str:
    """Run a command until a line holds `sign`, then press Ctrl-C for it and all its processes."""
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=environment(),
        cwd=ROOT,
    )  # fmt: skip
    seen = ""
    while sign not in seen and (more := process.stdout.read(1)):
        seen += more
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, seen + rest
    return seen + rest


def advised(text: str) -> list[str]:
    """The words behind `rfm train` of the command that the last lines of an interrupted run name."""
    assert "Traceback" not in text
    line = text[text.rindex("interrupted; ") :].splitlines()[1]
    words = shlex.split(line)
    assert words[:4] == ["python", "-m", "rfm", "train"]
    return words[4:]


def test_ctrl_c_with_a_checkpoint_names_the_command_that_goes_on(dataset, tmp_path):
    flags = ("--max_steps=400", "--save_steps=2", "--save_total_limit=1", "--dataloader_num_workers=2")
    text = interrupted(command(dataset, tmp_path, *flags, "--overwrite_output_dir"), "step 4/400")
    assert "interrupted; go on from checkpoint-" in text
    words = advised(text)
    assert words[-2:] == ["--resume_from_checkpoint", "latest"]
    assert "--overwrite_output_dir" not in words
    step = max(int(path.name.rpartition("-")[2]) for path in tmp_path.glob("checkpoint-*"))
    assert run_command(("train",), [*words, f"--max_steps={step + 2}"], "rfm train") == 0
    assert len(losses(tmp_path)) == step + 2


def test_ctrl_c_before_a_checkpoint_says_that_nothing_was_saved(dataset, tmp_path):
    text = interrupted(command(dataset, tmp_path, "--max_steps=400", "--dataloader_num_workers=0"), "step 4/400")
    assert "interrupted; nothing was saved yet; start anew with\n" in text
    words = advised(text)
    assert run_command(("train",), [*words, "--max_steps=1"], "rfm train") == 0


def test_what_an_interrupted_command_becomes(tmp_path, monkeypatch):
    options = TrainOptions(dataset_path="d", output_dir=str(tmp_path))
    before = ["rfm", "train", "--resume_from_checkpoint", "x", "--overwrite_output_dir", "--seed", "1"]
    assert way_on_command(options, before) == "nothing was saved yet; start anew with\nrfm train --seed 1"
    (tmp_path / "checkpoint-1").mkdir()
    expected = "no checkpoint is whole yet; start anew with\nrfm train --seed 1 --overwrite_output_dir"
    assert way_on_command(options, [*before[:2], "--resume_from_checkpoint=x", *before[4:]]) == expected
    (tmp_path / "checkpoint-1" / "checkpoint_files.json").write_text("{}")
    expected = "go on from checkpoint-1 with\nrfm train --seed 1 --resume_from_checkpoint latest"
    assert way_on_command(options, before) == expected
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert way_on_command(options, before) == "go on from checkpoint-1 with --resume_from_checkpoint latest"


def in_workers(monkeypatch, act, *, evaluating: bool) -> None:
    """Let `act` happen in a worker in place of a batch for training, or for evaluation alone."""
    collate = VQACollator.__call__

    def acting(self, rows):
        if get_worker_info() is not None and (self.bad_rows is None) == evaluating:
            act()
        return collate(self, rows)

    monkeypatch.setattr(VQACollator, "__call__", acting)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("evaluating", [False, True], ids=["training", "evaluating"])
def test_a_killed_worker_is_one_message_with_the_way_out(dataset, tmp_path, monkeypatch, evaluating):
    options = tiny_run(
        dataset, tmp_path, max_steps=2, save_steps=1, eval_steps=2, eval_dataset_path=str(dataset),
        dataloader_num_workers=2,
    )  # fmt: skip
    advice = (
        "go on from checkpoint-1 with --resume_from_checkpoint latest" if evaluating else "the same command starts anew"
    )
    with monkeypatch.context() as patch:
        in_workers(patch, killed, evaluating=evaluating)
        with pytest.raises(LoadingError, match=r"one was ended .*, most often by the system for lack") as caught:
            train(options)
    text = str(caught.value)
    assert (
        "pass --dataloader_num_workers 1, or lower --per_device_train_batch_size and --per_device_eval_batch_size"
        in text
    )
    assert text.endswith(advice)
    resume = "latest" if evaluating else None
    train(tiny_run(dataset, tmp_path, max_steps=2, dataloader_num_workers=1, resume_from_checkpoint=resume))


def test_a_worker_without_memory_is_not_the_models_fault(dataset, tmp_path, monkeypatch):
    def without_memory():
        raise MemoryError

    in_workers(monkeypatch, without_memory, evaluating=False)
    with pytest.raises(
        LoadingError, match=r"memory must hold the batches that are being made, .* --dataloader_num_workers 0"
    ):
        train(tiny_run(dataset, tmp_path, dataloader_num_workers=1))


def test_an_error_of_ours_in_a_worker_is_its_own_text(dataset, tmp_path, monkeypatch):
    def faulty():
        raise RfmError("`x` must be y, but is z")

    in_workers(monkeypatch, faulty, evaluating=False)
    with pytest.raises(RfmError, match=r"^`x` must be y, but is z$"):
        train(tiny_run(dataset, tmp_path, dataloader_num_workers=1))


@needs_mounts
def test_a_first_checkpoint_cut_by_a_full_disk_says_what_works(dataset, tmp_path):
    """4 MB take the weights and not the optimizer's state; then 64 MB, and what the message advises."""
    words = command(dataset, tmp_path / "disk" / "run", "--max_steps=1", "--dataloader_num_workers=0")[4:]
    advised = ["--overwrite_output_dir"]
    act = narrow_places.train_on_a_full_disk_and_on_a_larger_one
    done = apart(tmp_path / "said", act, tmp_path / "disk", words, advised)
    assert not done.failed, done.errors
    assert "Traceback" not in done.errors
    assert "checkpoint-1 must be written whole, but can't be" in done.errors
    assert "free some, then no checkpoint is whole yet: start anew with --overwrite_output_dir" in done.errors
    assert {"checkpoint-1", "final"} <= {*done.output.split()}
