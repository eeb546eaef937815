"""The sides that models are judged on: episodes that training did not see, each unlike it in one way more.

A side is a trajectory dataset: a part of one that is there, or one that the simulator films (`film`: flags of
`rfm ingest metaworld`) and `rfm ingest videos` reads. All its episodes go under the side's own name, so that none is
taken for one of training. Recordings of real robots have no known progress and are no sides: see `real`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results.steps import Made, Workshop
from rfm.errors import DataError
from rfm.ingest.bundled import bundled_root
from rfm.ingest.metaworld.bundle import MANIFEST, read_manifest, write_text
from rfm.ingest.metaworld.command import IngestMetaworldOptions, ingest_metaworld_command
from rfm.ingest.sources.videos import ingest_videos
from rfm.trajectories.hashes import source_hashes

BUNDLED_EVAL = "metaworld_eval"
MAX_FRAMES = 32


@dataclass(frozen=True)
class Side:
    """Where a model is judged."""

    name: str
    title: str
    """A few words, for tables."""
    what: str
    """A sentence that says how it differs from training."""
    film: dict[str, Any] = field(default_factory=dict)
    """Flags of `rfm ingest metaworld`; empty for the bundled held-out episodes."""


@dataclass(frozen=True)
class Ground:
    """The trajectories of a side."""

    made: Made
    root: Path
    key: str


def ground(workshop: Workshop, side: Side) -> Ground:
    """Return a side's trajectories, filmed first where need be."""
    if not side.film:
        return bundled(BUNDLED_EVAL)
    filmed = workshop.step(f"sides/{side.name}/films", side.film, lambda folder: _film(folder / "films", side.film))

    def ingest(folder: Path) -> None:
        films = filmed.folder / "films"
        summary = ingest_videos(films, folder, manifest=_relisted(films, side.name), max_frames=MAX_FRAMES, form="jpeg")
        if summary.rejected:
            raise DataError(f"all films of {side.name} must be readable, but one is not: {summary.rejected[0].reason}")

    made = workshop.step(f"sides/{side.name}/trajectories", {"key": side.name}, ingest, [filmed])
    return Ground(made, made.folder, side.name)


def bundled(key: str) -> Ground:
    """Return a dataset of the bundled videos."""
    root = bundled_root()
    return Ground(Made(root, source_hashes(root, [key])[key]), root, key)


def _film(folder: Path, flags: dict[str, Any]) -> None:
    ingest_metaworld_command(IngestMetaworldOptions(output=str(folder), **flags))


def _relisted(films: Path, key: str) -> Path:
    """Write the films' manifest with the side as source of all and part of each id."""
    path = films.with_name(MANIFEST)
    rows = [{**row, "id": f"{key}_{row['id']}", "data_source": key} for row in read_manifest(films)]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path
