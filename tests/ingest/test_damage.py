"""Damaged files of every format: whatever the damage, it is named, and what is not damaged comes in."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset
from robot_datasets import (
    moving_square,
    rlds_episode,
    write_demos,
    write_lerobot,
    write_roboarena,
    write_roboreward,
    write_tfrecord,
    write_video,
)

from rfm.cli import run_command
from rfm.trajectories.store import PROCESSED, read_columns

EPISODES = [moving_square(count, seed) for seed, count in enumerate((5, 9, 4))]
DAMAGES = 8


def lerobot(folder: Path) -> None:
    write_lerobot(folder, EPISODES, success=[True, False, True])


def lerobot_v21(folder: Path) -> None:
    write_lerobot(folder, EPISODES, "v2.1", kind="image")


def rlds(folder: Path) -> None:
    write_tfrecord(folder / "a.tfrecord", [rlds_episode(frames) for frames in EPISODES])


def hdf5(folder: Path) -> None:
    write_demos(folder / "a.hdf5", EPISODES, "libero", compression="gzip")


def rbm(folder: Path) -> None:
    paths = [f"{at}.mp4" for at in range(3)]
    for path, frames in zip(paths, EPISODES, strict=True):
        write_video(folder / path, frames)
    Dataset.from_dict({"id": ["1", "2", "3"], "task": ["a", "b", "c"], "frames": paths}).to_parquet(
        folder / "a.parquet"
    )


def roboreward(folder: Path) -> None:
    videos = {f"s/{at}.mp4": frames for at, frames in enumerate(EPISODES)}
    write_roboreward(folder / "train", [(name, "t", 3) for name in videos], videos)


def roboarena(folder: Path) -> None:
    for at, frames in enumerate(EPISODES):
        policies = {"A": {"policy_name": "p", "partial_success": 0.5}}
        write_roboarena(folder, f"s{at}", policies, {"A/x_left.mp4": frames})


def damage(folder: Path, rng: random.Random) -> None:
    """Cut off, remove or change some bytes of one file."""
    file = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    data = bytearray(file.read_bytes())
    at = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            del data[at:]
        case 1:
            del data[at : at + 50]
        case _:
            for _ in range(rng.choice((1, 3, 20))):
                data[rng.randrange(len(data))] = rng.randrange(256)
    file.write_bytes(data)


@pytest.mark.parametrize("write", [lerobot, lerobot_v21, rlds, hdf5, rbm, roboreward, roboarena])
def test_damage_is_an_error_or_a_rejection(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "whole")
    command = write.__name__.partition("_")[0]
    rng = random.Random(write.__name__)
    for at in range(DAMAGES):
        folder, output = tmp_path / f"in{at}", tmp_path / f"out{at}"
        shutil.copytree(tmp_path / "whole", folder)
        damage(folder, rng)
        status = run_command(("ingest", command), [str(folder), "--output", str(output)], None)
        assert status in (0, 1)
        rows = [
            row for saved in output.glob(f"*/{PROCESSED}") for row in read_columns(saved.parent, ("id",)).to_pylist()
        ]
        rejections = list(output.glob("*/rejected.jsonl"))
        assert len(rows) == 3 or status == 1
        assert not output.exists() or rows or rejections


@pytest.mark.parametrize("write", [lerobot, roboreward])
def test_text_that_is_no_utf8_costs_its_line_alone(tmp_path: Path, write: Callable[[Path], None]) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    if write is lerobot:
        write_lerobot(folder, EPISODES, "v2.1")
    else:
        write(folder)
    (file,) = [path for path in folder.rglob("*.jsonl") if path.name in ("episodes.jsonl", "metadata.jsonl")]
    lines = file.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"t", b"\xff", 1)
    file.write_bytes(b"\n".join(lines))
    assert run_command(("ingest", write.__name__), [str(folder), "--output", str(output)], None) == 1
    (saved,) = output.glob(f"*/{PROCESSED}")
    assert len(read_columns(saved.parent, ("id",))) == 2


def test_an_unknown_codec_is_named(tmp_path: Path) -> None:
    roboreward(tmp_path / "in")
    file = tmp_path / "in" / "train" / "s" / "1.mp4"
    file.write_bytes(file.read_bytes().replace(b"avc1", b"xyz1").replace(b"avcC", b"xyzC"))
    assert run_command(("ingest", "roboreward"), [str(tmp_path / "in"), "--output", str(tmp_path / "out")], None) == 1
    (rejected,) = (tmp_path / "out").glob("*/rejected.jsonl")
    assert "1.mp4 must be" in rejected.read_text()
