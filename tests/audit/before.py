"""Datasets as they were generated before an instruction's answer had to be known, and the trajectories they show.

The rows were drawn by the generator of version be0f24e from the worlds below, and are kept as they came out (`before/`,
Parquet); the trajectory datasets are built anew from the same seeds, with what is recorded of other tasks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset
from sampling.true_worlds import Record, conflicts, record, scenes, shared_files, shared_texts, sizes, write_world
from sampling.true_worlds import texts_without_ids as spellings

KEPT = Path(__file__).with_name("before")


def five_sources(rng: np.random.Generator) -> list[Record]:
    """Four tasks of its own in each of five sources; everything succeeds."""
    return [
        record(
            number,
            rng,
            num_frames=40,
            task=f"do the thing {'abcde'[number % 5]} {number // 5 % 4}",
            data_source=f"source {number % 5}",
            quality_label="successful",
        )
        for number in range(400)
    ]


def times(rng: np.random.Generator) -> list[Record]:
    """Frames that lie unevenly in time, which is recorded."""
    made = []
    for number in range(90):
        moments = np.concatenate([[0], np.cumsum(rng.exponential(1, 29) ** 2)])
        shares = [float(np.float32(value)) for value in moments / moments[-1]]
        made.append(
            record(
                number, rng, num_frames=30, frame_times=shares, task=f"task number {number % 3}",
                quality_label="successful",
            )
        )  # fmt: skip
    return made


BEFORE: dict[str, Callable[[np.random.Generator], list[Record]]] = {
    "scenes": scenes,
    "shared_texts": shared_texts,
    "spellings": spellings,
    "shared_files": shared_files,
    "conflicts": conflicts,
    "sizes": sizes,
    "five_sources": five_sources,
    "times": times,
    "cut_offs": five_sources,
}


def rebuild(name: str, folder: Path) -> tuple[Path, Path]:
    """Write the trajectory datasets and the kept rows about them; returns the root and the dataset."""
    root, vqa = folder / "root", folder / "vqa"
    write_world(root, BEFORE[name](np.random.default_rng(0)))
    Dataset(pq.read_table(KEPT / f"{name}.parquet")).save_to_disk(str(vqa))
    config = json.loads((KEPT / f"{name}.json").read_text()) | {"datasets_root": str(root)}
    (vqa / "generation_config.json").write_text(json.dumps(config))
    return root, vqa
