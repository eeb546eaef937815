"""Rows a second of `rfm generate`, beside a row-at-a-time generator on the same trajectories, in one run.

    python benchmarks/generation.py [--rows 1000000] [--trajectories 45000] [--workers 1 2] [--baseline_rows 300]

The trajectories are made up: 200 tasks, 5 sources, all qualities, a fifth with partial success, 32 to 64 frames. The
baseline does what the first dynamic samplers did: open the episode's compressed .npz to count its frames, pick a
strategy by chance, build a dict, collect a list, `Dataset.from_list`. Its files are small (32 x 32), which favours it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset

from rfm.configs.compose import load_config
from rfm.generation import generate as generation
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.store import PROCESSED, SCHEMA

TASKS, SOURCES = 200, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--trajectories", type=int, default=45_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--baseline_rows", type=int, default=300)
    parser.add_argument("--save_batch_size", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        keys = make_trajectories(folder / "root", options.trajectories)
        started = time.perf_counter()
        catalog = load_catalog(folder / "root", keys)
        print(f"catalog of {len(catalog)} trajectories: {time.perf_counter() - started:.2f} s")
        Sampler(catalog, load_config("config", ()).data, total=options.rows, seed=0)
        print(f"ready to draw: {time.perf_counter() - started:.2f} s")
        rates = {count: _ours(folder, keys, options, count) for count in options.workers}
        baseline = _baseline(folder, catalog, options.baseline_rows)
        print(f"row at a time: {baseline:.0f} rows/s")
        for count, rate in rates.items():
            print(f"{count} worker(s): {rate:,.0f} rows/s, {rate / baseline:,.0f} times the baseline")
        own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(f"peak memory: {own / 1e6:.2f} GB, largest worker {children / 1e6:.2f} GB")


def make_trajectories(root: Path, count: int, seed: int = 0) -> list[str]:
    """Write `SOURCES` processed datasets of metadata alone; returns their keys."""
    rng = np.random.default_rng(seed)
    keys = [f"source_{number}" for number in range(SOURCES)]
    for number, key in enumerate(keys):
        rows = count // SOURCES + (number < count % SOURCES)
        task = rng.integers(0, TASKS, rows)
        frames = rng.integers(32, 65, rows)
        quality = rng.choice(["successful", "suboptimal", "failure"], rows, p=[0.5, 0.25, 0.25])
        partial = np.where(quality == "successful", 1.0, rng.random(rows) * 0.9)
        columns = {
            "id": [f"{key}_{i}" for i in range(rows)],
            "task": [f"put object {t} into the box" for t in task],
            "data_source": [key] * rows,
            "quality_label": quality,
            "is_robot": [True] * rows,
            "partial_success": pa.array(partial, pa.float32(), mask=np.full(rows, number > 0)),
            "frames": [f"{key}/frames/trajectory_{key}_{i}.npz" for i in range(rows)],
            "frames_shape": [[int(n), 224, 224, 3] for n in frames],
            "num_frames": frames,
        }
        arrays = [pa.array(columns.get(f.name, [None] * rows), f.type) for f in SCHEMA]
        saved = root / key / PROCESSED
        saved.mkdir(parents=True)
        Dataset(pa.Table.from_arrays(arrays, schema=SCHEMA)).save_to_disk(str(saved))
    return keys


def _ours(folder: Path, keys: list[str], options: argparse.Namespace, workers: int) -> float:
    generation.WORTH_A_WORKER = 1  # as many workers as asked for
    output = folder / f"ours_{workers}"
    started = time.perf_counter()
    generation.generate(
        generation.GenerateOptions(
            output_path=str(output),
            num_samples=options.rows,
            num_workers=workers,
            save_batch_size=options.save_batch_size,
            config_overrides=(f"data.datasets_root={folder / 'root'}", f"data.train_datasets=[{','.join(keys)}]"),
        )
    )
    seconds = time.perf_counter() - started
    shutil.rmtree(output)
    print(f"{workers} worker(s): {options.rows} rows in {seconds:.2f} s, start and writing included")
    return options.rows / seconds


def _baseline(folder: Path, catalog: object, rows: int) -> float:
    """Rows a second of a generator that thinks row by row and asks the files."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(20):
        file = folder / f"episode_{number}.npz"
        np.savez_compressed(file, frames=rng.integers(0, 255, (48, 32, 32, 3), np.uint8))
        files.append(file)
    ids = catalog.ids.to_pylist()  # type: ignore[attr-defined]
    texts = catalog.texts.to_pylist()  # type: ignore[attr-defined]
    started = time.perf_counter()
    samples = []
    for number in range(rows):
        one, other = rng.integers(0, len(ids), 2)
        clips = {}
        for name, episode in (("first", one), ("second", other)):
            with np.load(files[int(rng.integers(len(files)))]) as content:
                count = len(content["frames"])
            end = int(rng.integers(8, count))
            clips |= {
                f"{name}_npz_path": f"frames/trajectory_{ids[episode]}.npz",
                f"{name}_frame_indices": np.linspace(0, end, 16).astype(int).tolist(),
                f"{name}_frames_shape": [16, 32, 32, 3],
            }
        task = texts[int(rng.integers(len(texts)))]
        samples.append({"sample_type": "preference", "prompt": task, "answer": str(1 + number % 2), **clips})
    Dataset.from_list(samples).save_to_disk(str(folder / "baseline"))
    return rows / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
