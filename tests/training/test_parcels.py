"""Batches from workers: whole through shared memory, whole without it, and never a run that waits for ever."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import narrow_places
import pytest
import torch
from forked import apart
from narrow_places import needs_mounts
from patience import PATIENCE
from vqa_fakes import fake_dataset

from rfm.training.parcels import Parcel, Parcelled

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 12, episodes=4)


def batch(size: int) -> dict:
    return {
        "pixel_values": torch.arange(size, dtype=torch.int64).to(torch.uint8),
        "labels": torch.tensor([[1, -100], [2, 3]]).T,
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(7),
        "half": torch.tensor([0.5], dtype=torch.float16),
        "keep": 4,
        "facts": ("a", 1),
    }


@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_arrives_as_it_was(shared):
    sent = batch(300_000)
    if shared:
        sent["pixel_values"].share_memory_()
    parcel = Parcel(sent)
    assert (len(parcel.message) < 3_000) == shared
    opened = pickle.loads(pickle.dumps(parcel))
    for name, value in batch(300_000).items():
        assert type(opened[name]) is type(value)
        assert torch.equal(opened[name], value) if isinstance(value, torch.Tensor) else opened[name] == value
    opened["pixel_values"][0] = 3  # and may be written to


def test_in_the_run_itself_nothing_is_packed():
    assert Parcelled(lambda rows: {"rows": rows})([1, 2]) == {"rows": [1, 2]}


def words(dataset, folder: Path, *flags: str) -> list[str]:
    return [
        f"--dataset_path={dataset}", f"--output_dir={folder}", "--model_name=tiny", "--max_steps=3",
        "--gradient_accumulation_steps=1", "--report_to=none", "--save_strategy=no", "--learning_rate=1e-3",
        "--per_device_train_batch_size=4", "--logging_steps=1", *flags,
    ]  # fmt: skip


@needs_mounts
@pytest.mark.parametrize("size", ["64k", "4m"])
def test_a_container_with_little_shared_memory_trains(dataset, tmp_path, size):
    """Batches of 2.4 MB, of which four workers have up to twelve under way."""
    big = ("data.resized_height=224", "data.resized_width=224")
    flags = words(dataset, tmp_path / "out", "--dataloader_num_workers=2", "--config_overrides", *big)
    done = apart(tmp_path / "said", narrow_places.train_with_shared_memory, size, flags)
    assert not done.failed, done.errors[-2000:]
    text = " ".join(done.errors.split())
    assert "go through pipes, which is slower: /dev/shm has" in text
    for way_out in ("docker run --shm-size=8g", "--dataloader_num_workers 0"):
        assert way_out in text
    assert "Traceback" not in done.errors


def test_few_open_files(dataset, tmp_path):
    command = ["bash", "-c", 'ulimit -n 64 && exec "$@"', "bash", sys.executable, "-m", "rfm", "train"]
    command += words(dataset, tmp_path / "out", "--dataloader_num_workers=4")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_too_few_open_files_are_said(dataset, tmp_path):
    flags = words(dataset, tmp_path / "less", "--dataloader_num_workers=4")
    done = apart(tmp_path / "said", narrow_places.train_with_open_files, 16, flags)
    assert done.failed
    text = " ".join(done.errors.split())
    assert "Traceback" not in text, done.errors
    assert "`ulimit -n` must allow" in text
    assert "--dataloader_num_workers 2" in text
