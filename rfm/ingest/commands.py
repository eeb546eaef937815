"""`rfm ingest videos` and `rfm ingest metaworld`: their options, and how they run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rfm.ingest.episode import Episode
from rfm.ingest.options import PipelineOptions, run_ingest
from rfm.ingest.sources.videos import video_episodes

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class IngestMetaworldOptions:
    """Simulate MetaWorld episodes and film them: videos, manifest.jsonl and simulator states (extra `sim`)."""

    output: str = field(metadata={"help": "Folder to write"})
    seed: int = field(default=0, metadata={"help": "The same seed and versions give the same frames"})
    episodes_per_task: int = field(default=40, metadata={"help": "Episodes of each task, a quarter held out"})
    tasks: tuple[str, ...] = field(default=(), metadata={"help": "Task ids; default: all of the bundle"})
    num_workers: int = field(default=1, metadata={"help": "Processes that simulate and render"})


def ingest_videos_command(options: IngestVideosOptions) -> int:
    """Run `rfm ingest videos`; status 1 if a video was rejected."""
    return run_ingest(_listed_videos, options)


def _listed_videos(options: IngestVideosOptions) -> Iterator[Episode]:
    return video_episodes(Path(options.folder), None if options.manifest is None else Path(options.manifest))


def ingest_metaworld_command(options: IngestMetaworldOptions) -> None:
    """Run `rfm ingest metaworld`; it imports the simulator, so only here."""
    from rfm.ingest.metaworld.generate import generate_metaworld

    summary = generate_metaworld(
        Path(options.output),
        seed=options.seed,
        episodes_per_task=options.episodes_per_task,
        tasks=options.tasks or None,
        num_workers=options.num_workers,
    )
    logger.info("%s", summary)
