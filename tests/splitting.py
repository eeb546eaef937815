"""Splits of a toy world."""

from __future__ import annotations

import json

from datasets import load_from_disk

from rfm.generation.generate import GenerateOptions
from rfm.splits.command import SplitOptions, split
from rfm.splits.file import read_split

SHARES = "train=0.8,val=0.1,test=0.1"


TASKS, PER_TASK = 4, 24


def options(root, output, **changes) -> SplitOptions:
    settings = {"datasets": ("toy_train",), "split": SHARES, "near_duplicates": "ignore", **changes}
    return SplitOptions(output=str(output), datasets_root=str(root), **settings)


def sides_of(file) -> dict[str, set[str]]:
    return {name: {one for ids in side.values() for one in ids} for name, side in read_split(file).sides.items()}


def draw(root, output, *overrides, **changes) -> GenerateOptions:
    overrides = (f"data.datasets_root={root}", "data.train_datasets=[toy_train]", *overrides)
    return GenerateOptions(output_path=str(output), **{"num_samples": 200, "config_overrides": overrides, **changes})


def shown_in(path) -> set[str]:
    """The ids of all trajectories in a VQA dataset."""
    rows = load_from_disk(str(path))
    names = ("trajectory_id", "first_trajectory_id", "second_trajectory_id", "reference_trajectory_id")
    return {one for name in names for one in rows[name] if one is not None}


def config_of(path):
    return json.loads((path / "generation_config.json").read_text())


def near(copies, output, what, **changes):
    made = options(copies, output, datasets=("films", "copies"), split="a=0.5,b=0.5", near_duplicates=what, **changes)
    return split(made)
