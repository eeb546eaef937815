"""Video files and folders of pictures, the simplest source: a folder, any format that FFmpeg reads.

What they show says a manifest, one line a recording, or the user says it of all at once (`rfm.ingest.rules.spoken`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rfm.errors import ConfigError
from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.listing.manifest import NAMES, ManifestRow, check_folder, find_manifest, read_manifest, warn_of_unknown
from rfm.ingest.listing.recordings import recording
from rfm.ingest.options import run_ingest
from rfm.ingest.pipeline import IngestSummary, ingest
from rfm.ingest.reading import rejected
from rfm.ingest.rules.spoken import SpokenOptions, spoken_rows


@dataclass(frozen=True, kw_only=True)
class IngestVideosOptions(SpokenOptions):
    """Turn a folder of videos, and of folders of pictures, into trajectory datasets, one for each data_source."""

    manifest: str | None = field(
        default=None,
        metadata={
            "help": "CSV or JSONL with at least `path` and `task`; default: manifest.* in PATH",
            "remote": True,
        },
    )


def ingest_videos_command(options: IngestVideosOptions) -> int:
    """Run `rfm ingest videos`; status 1 if a recording was rejected."""
    return run_ingest(_episodes, options)


def ingest_videos(
    folder: Path,
    output: Path,
    *,
    manifest: Path | None = None,
    max_frames: int = 64,
    height: int | None = None,
    width: int | None = None,
    form: str = "stored",
    overwrite: bool = False,
    num_workers: int = 1,
) -> IngestSummary:
    """Write the manifest's recordings as one dataset for each `data_source` under `output`.

    At most `max_frames` frames of each are kept, evenly in time, first and last included, and the values of `progress`
    that belong to them. Raises ConfigError or DataError before any work for whatever the manifest shows to be wrong;
    recordings that turn out unreadable while decoding, or of another length than their `progress`, are in the summary's
    `rejected`.
    """
    options = IngestOptions(max_frames, height, width, form, overwrite, num_workers)
    return ingest(video_episodes(folder, manifest), output, options)


def video_episodes(folder: Path, manifest: Path | None = None, data_source: str | None = None) -> Iterator[Episode]:
    """The episodes that a folder's manifest lists; raises for all its faults at once."""
    listed = find_manifest(folder, manifest)
    rows = read_manifest(listed, folder, data_source)
    warn_of_unknown(listed, rows)
    for row in rows:
        yield _episode(row, folder)


def _episodes(options: IngestVideosOptions) -> Iterator[Episode]:
    folder = check_folder(Path(options.path))
    there = (folder / name for name in NAMES if os.path.lexists(folder / name))
    manifest = Path(options.manifest) if options.manifest is not None else next(there, None)
    if not options.rules:
        yield from video_episodes(folder, manifest, options.data_source)
    elif manifest is None:
        yield from _spoken_episodes(folder, options)
    else:
        raise ConfigError(
            f"{options.rules[0]} must be left out where a manifest says what recordings show, but there is {manifest}: "
            "write it into the manifest, or move that away"
        )


def _spoken_episodes(folder: Path, options: SpokenOptions) -> Iterator[Episode]:
    for row, fault in spoken_rows(folder, options):
        yield rejected(str(row.id), row.data_source, fault) if fault else _episode(row, folder)


def _episode(row: ManifestRow, folder: Path) -> Episode:
    return Episode(
        id=str(row.id),
        task=row.task,
        data_source=row.data_source,
        source=recording(folder / row.path),
        quality_label=row.quality_label,
        is_robot=row.is_robot,
        partial_success=row.partial_success,
        task_id=row.task_id,
        progress=row.progress,
        progress_by_task=row.progress_by_task,
        scene_id=row.scene_id,
        split=row.split,
    )
