"""How fast whole datasets are relabelled, beside a loop that asks about one prefix at a time; and with how much memory.

    python benchmarks/relabel.py --episodes 1000

Short episodes of noise, the random `tiny` shown 4 frames at 32 x 32, one torch thread. The loop asks the `.progress`
of each prefix of `--looped` of the episodes, whose frames it has in memory already. Peak memory is that of a process of
its own, for a tenth of the episodes and for all.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

import rfm
from rfm.batch.input_format import InputFormat
from rfm.frames.npz.file import write_npz
from rfm.model.load import load_model
from rfm.scoring.relabelling.command import relabel
from rfm.scoring.relabelling.options import RelabelOptions
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset

TASK = "put the red block into the drawer and close it"


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    if options.measured is not None:
        _measure(Path(options.root), options.measured)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        load_model("tiny").save(_made(root / "tiny"), InputFormat(32, 32, max_frames=4))
        for key, count in (("tenth", options.episodes // 10), ("all", options.episodes)):
            _write(root, key, count, options.frames)
        looped = _loop(root, options.looped, options.frames)
        print(f"loop over .progress: {looped:.1f} frames/s")
        for key in ("tenth", "all"):
            command = [sys.executable, __file__, "--measured", key, "--root", folder]
            said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"relabel, {key}: {said['rate']:.1f} frames/s, {said['rate'] / looped:.1f} times, {said['mib']} MiB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--looped", type=int, default=20)
    parser.add_argument("--measured", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--root", default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _frames(at: int, count: int) -> np.ndarray:
    return np.random.default_rng(at).integers(0, 256, (count, 64, 64, 3), np.uint8)


def _write(root: Path, key: str, episodes: int, frames: int) -> None:
    (root / key / "frames").mkdir(parents=True)
    rows = []
    for at in range(episodes):
        path = f"{key}/frames/trajectory_{at}.npz"
        write_npz(root / path, _frames(at, frames))
        shape = (frames, 64, 64, 3)
        rows.append(Trajectory(f"{at:06d}", TASK, key, path, shape, frames, "successful"))
    write_processed_dataset(root / key, rows)


def _loop(root: Path, episodes: int, frames: int) -> float:
    model = rfm.RewardModel.from_pretrained(root / "tiny", "cpu")
    model.progress(_frames(0, 2), TASK)
    clips = [_frames(at, frames) for at in range(episodes)]
    begun = time.process_time()
    for clip in clips:
        for end in range(frames):
            model.progress(clip[: end + 1], TASK)
    return episodes * frames / (time.process_time() - begun)


def _measure(root: Path, key: str) -> None:
    """Relabel one dataset, and print the rate by processor time, loading included, and the peak memory."""
    output = root / f"{key}.parquet"
    begun = time.process_time()
    relabel(RelabelOptions(key, str(root / "tiny"), str(output), datasets_root=str(root), device="cpu"))
    seconds = time.process_time() - begun
    rows = pq.read_metadata(output).num_rows
    print(json.dumps({"rate": rows / seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


if __name__ == "__main__":
    main()
