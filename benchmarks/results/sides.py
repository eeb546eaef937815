"""The sides that models are judged on: episodes that training did not see, each unlike it in one way more.

A side is a trajectory dataset, made by a step of its own: from films of the simulator (`film`), from the bundled
held-out episodes with other words (`reword`), or from sets of `rfm.metaworld_small` (`of_small`, `from_sets`). Their
episodes go under a name of the side, so that none is taken for one of training. Recordings of real robots have no known
progress and are no sides: see `real`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.results.steps import Made, Workshop
from rfm.errors import DataError
from rfm.ingest.bundled import bundled_root, bundled_videos
from rfm.ingest.metaworld.bundle import MANIFEST, Row, read_manifest, write_manifest
from rfm.ingest.metaworld.command import IngestMetaworldOptions, ingest_metaworld_command
from rfm.ingest.metaworld.slots import EVAL
from rfm.ingest.metaworld.tasks import TASKS
from rfm.ingest.metaworld.wordings import wording
from rfm.ingest.sources.videos import ingest_videos
from rfm.metaworld_small.sides import SETS, SIDES, make_sets
from rfm.trajectories.hashes import source_hashes


@dataclass(frozen=True)
class Side:
    """Where a model is judged."""

    name: str
    title: str
    """A few words, for tables."""
    what: str
    """A sentence that says how it differs from training."""
    ground: Callable[[Workshop, str], Ground]
    """Makes its trajectories; called with the side's name."""


@dataclass(frozen=True)
class Ground:
    """The trajectories of a side."""

    made: Made
    root: Path
    key: str


def held_out(workshop: Workshop, name: str) -> Ground:
    """The bundled held-out episodes."""
    return bundled(EVAL)


def reword(workshop: Workshop, name: str) -> Ground:
    """The bundled held-out episodes, with words that no training has, in turn within each task."""
    source = bundled(EVAL)
    turns: Counter[str] = Counter()

    def reworded(row: Row) -> Row:
        task = row["task_id"]
        turns[task] += 1
        return {**row, "task": wording(TASKS[task], "held_out", turns[task])}

    def ingest(folder: Path) -> None:
        rows = [reworded(row) for row in read_manifest(bundled_videos()) if row["data_source"] == EVAL]
        _ingest(bundled_videos(), rows, folder, name)

    made = workshop.step(f"sides/{name}/trajectories", {"wordings": "held_out"}, ingest, [source.made])
    return Ground(made, made.folder, name)


def film(**flags: Any) -> Callable[[Workshop, str], Ground]:
    """Episodes that the simulator films for the side; `flags` are those of `rfm ingest metaworld`."""

    def ground(workshop: Workshop, name: str) -> Ground:
        def simulate(folder: Path) -> None:
            ingest_metaworld_command(IngestMetaworldOptions(output=str(folder / "films"), **flags))

        films = workshop.step(f"sides/{name}/films", flags, simulate).folder / "films"
        made = workshop.step(
            f"sides/{name}/trajectories",
            {"key": name},
            lambda folder: _ingest(films, read_manifest(films), folder, name),
            [workshop.made[f"sides/{name}/films"]],
        )
        return Ground(made, made.folder, name)

    return ground


def of_small(side: str, set_name: str) -> Callable[[Workshop, str], Ground]:
    """A side of `metaworld-small`, cut from one of the sets that `rfm.metaworld_small` simulates."""

    def ground(workshop: Workshop, name: str) -> Ground:
        made = _set(workshop, set_name)
        return Ground(made, made.folder / "root", SIDES[side])

    return ground


def from_sets(*set_names: str, camera: str, tasks: Collection[str]) -> Callable[[Workshop, str], Ground]:
    """The episodes of some tasks in sets of `metaworld-small` that one camera filmed."""

    def ground(workshop: Workshop, name: str) -> Ground:
        sets = [_set(workshop, one) for one in set_names]

        def ingest(folder: Path) -> None:
            rows = [
                {**row, "path": f"{one}/{one}/{row['path']}"}
                for one in set_names
                for row in read_manifest(workshop.place(f"sets/{one}/{one}"))
                if row["camera"] == camera and row["task_id"] in tasks
            ]
            _ingest(workshop.place("sets"), rows, folder, name)

        made = workshop.step(f"sides/{name}/trajectories", {"camera": camera, "tasks": sorted(tasks)}, ingest, sets)
        return Ground(made, made.folder, name)

    return ground


def _set(workshop: Workshop, name: str) -> Made:
    wanted = next(one for one in SETS if one.name == name)
    return workshop.step(f"sets/{name}", asdict(wanted), lambda folder: make_sets(folder, [name]))


def bundled(key: str) -> Ground:
    """Return a dataset of the bundled videos."""
    root = bundled_root()
    return Ground(Made(root, source_hashes(root, [key])[key]), root, key)


def _ingest(videos: Path, rows: Sequence[Row], folder: Path, key: str) -> None:
    """Ingest the videos of these rows as the dataset `key`, which is also a part of each id."""
    manifest = folder / MANIFEST
    write_manifest(manifest, ({**row, "id": f"{key}_{row['id']}", "data_source": key} for row in rows))
    summary = ingest_videos(videos, folder, manifest=manifest, form="jpeg")
    if summary.rejected:
        raise DataError(f"all videos of {key} must be readable, but one is not: {summary.rejected[0].reason}")
