"""`rfm ingest …`: options and summaries of the ingest commands."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from rfm.ingest.videos import ingest_videos

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestVideosOptions:
    """Turn a folder of videos with a manifest into trajectory datasets, one for each data_source."""

    folder: str = field(metadata={"help": "Folder of mp4, webm, mov or gif files", "positional": True})
    output: str = field(metadata={"help": "Datasets root to write below"})
    manifest: str | None = field(
        default=None,
        metadata={"help": "CSV or JSONL with at least `path` and `task`; default: manifest.* in the folder"},
    )
    max_frames: int = field(default=64, metadata={"help": "Frames kept of each video, evenly spaced, at most"})
    height: int | None = field(default=None, metadata={"help": "Height in pixels; default: as filmed"})
    width: int | None = field(default=None, metadata={"help": "Width in pixels; default: as filmed"})
    form: str = field(
        default="stored",
        metadata={"help": "How frames are stored in their .npz", "choices": ("stored", "compressed", "jpeg")},
    )
    num_workers: int = field(default=1, metadata={"help": "Processes that decode"})
    overwrite: bool = field(default=False, metadata={"help": "Replace datasets that exist"})


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
    summary = ingest_videos(
        Path(options.folder),
        Path(options.output),
        manifest=None if options.manifest is None else Path(options.manifest),
        max_frames=options.max_frames,
        height=options.height,
        width=options.width,
        form=options.form,
        overwrite=options.overwrite,
        num_workers=options.num_workers,
    )
    logger.info("%s", summary)
    return 1 if summary.rejected else 0


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
