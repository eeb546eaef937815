"""Parts of a trajectory dataset as split files: of its tasks, and of the episodes of each task and quality.

The parts are nested: an eighth lies in the quarter, that in the half. Each (task, quality) gives its share to less than
one episode, and all of them together to one, since the m-th of s strata starts its count at m / s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from rfm.splits.file import FORMAT, Split, assignment_hash
from rfm.trajectories.catalog import Catalog, load_catalog
from rfm.trajectories.hashes import source_hashes
from rfm.trajectories.record import QUALITY_LABELS

IN, OUT = "in", "out"
"""The sides of such a split."""


class Episode(NamedTuple):
    """What decides which part it is in."""

    id: str
    task: str
    quality: str


def write_part(root: Path, key: str, path: Path, tasks: Collection[str], share: float = 1.0) -> list[Episode]:
    """Write a split of a dataset whose side `IN` has so much of these tasks; returns the episodes of that side."""
    catalog = load_catalog(root, [key])
    episodes = list(_episodes(catalog))
    chosen = part([one for one in episodes if one.task in tasks], share)
    inside = {one.id for one in chosen}
    sides = {IN: {key: sorted(inside)}, OUT: {key: sorted(one.id for one in episodes if one.id not in inside)}}
    real = len(inside) / len(episodes)
    Split(
        {
            "format": FORMAT,
            "settings": {"shares": {IN: real, OUT: 1.0 - real}, "tasks": sorted(tasks), "share": share},
            "source_hashes": source_hashes(root, [key]),
            "assignment_hash": assignment_hash(sides),
            "sides": {name: {"trajectories": len(ids[key]), "ids": ids} for name, ids in sides.items()},
        }
    ).write(path)
    return chosen


def part(episodes: Collection[Episode], share: float) -> list[Episode]:
    """Return a share of the episodes, evenly over tasks and qualities; a smaller share is a part of a larger one."""
    strata: dict[tuple[str, str], list[Episode]] = {}
    for one in sorted(episodes, key=lambda one: hashlib.sha256(one.id.encode()).digest()):
        strata.setdefault((one.task, one.quality), []).append(one)
    return [
        one
        for number, name in enumerate(sorted(strata))
        for rank, one in enumerate(strata[name])
        if rank + (number + 0.5) / len(strata) < share * len(strata[name]) or share == 1.0
    ]


def _episodes(catalog: Catalog) -> Iterator[Episode]:
    tasks = catalog.tasks.to_pylist()
    for one, task, quality in zip(
        catalog.ids.to_pylist(), catalog.task_code.tolist(), catalog.quality.tolist(), strict=True
    ):
        yield Episode(one, tasks[task], QUALITY_LABELS[quality] if quality >= 0 else "unknown")
