"""Video files with a manifest, the simplest source: a folder, one line a video, any format that FFmpeg reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.manifest import ManifestRow, find_manifest, read_manifest
from rfm.ingest.options import PipelineOptions, run_ingest
from rfm.ingest.pipeline import IngestSummary, ingest
from rfm.ingest.reading import VideoFile


@dataclass(frozen=True, kw_only=True)
class IngestVideosOptions(PipelineOptions):
    """Turn a folder of videos with a manifest into trajectory datasets, one for each data_source."""

    folder: str = field(metadata={"help": "Folder of mp4, webm, mov or gif files", "positional": True, "remote": True})
    manifest: str | None = field(
        default=None,
        metadata={
            "help": "CSV or JSONL with at least `path` and `task`; default: manifest.* in the folder",
            "remote": True,
        },
    )


def ingest_videos_command(options: IngestVideosOptions) -> int:
    """Run `rfm ingest videos`; status 1 if a video was rejected."""
    return run_ingest(_listed_videos, options)


def _listed_videos(options: IngestVideosOptions) -> Iterator[Episode]:
    return video_episodes(Path(options.folder), None if options.manifest is None else Path(options.manifest))


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
    """Write the manifest's videos as one dataset for each `data_source` under `output`.

    At most `max_frames` evenly spaced frames a video are kept, first and last included, and the values of `progress`
    that belong to them. Raises ConfigError or DataError before any work for whatever the manifest shows to be wrong;
    videos that turn out unreadable while decoding, or of another length than their `progress`, are in the summary's
    `rejected`.
    """
    options = IngestOptions(max_frames, height, width, form, overwrite, num_workers)
    return ingest(video_episodes(folder, manifest), output, options)


def video_episodes(folder: Path, manifest: Path | None = None) -> Iterator[Episode]:
    """The episodes that a folder's manifest lists; raises for all its faults at once."""
    for row in read_manifest(find_manifest(folder, manifest), folder):
        yield _episode(row, folder)


def _episode(row: ManifestRow, folder: Path) -> Episode:
    return Episode(
        id=row.id,
        task=row.task,
        data_source=row.data_source,
        source=VideoFile(folder / row.path),
        quality_label=row.quality_label,
        is_robot=row.is_robot,
        partial_success=row.partial_success,
        task_id=row.task_id,
        progress=row.progress,
        scene_id=row.scene_id,
        split=row.split,
    )
