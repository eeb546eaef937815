"""`rfm ingest metaworld`: its options, and how it runs."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from rfm.ingest.metaworld.cameras import BUNDLED, CAMERAS, Filming
from rfm.ingest.metaworld.wordings import WORDINGS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestMetaworldOptions:
    """Simulate MetaWorld episodes and film them: videos, manifest.jsonl and simulator states (extra `sim`)."""

    output: str = field(metadata={"help": "Folder to write"})
    seed: int = field(default=0, metadata={"help": "The same seed and versions give the same frames"})
    episodes_per_task: int = field(default=40, metadata={"help": "Episodes of each task, a quarter held out"})
    tasks: tuple[str, ...] = field(
        default=(), metadata={"help": "Task ids, or `all`; default: those of the bundled videos"}
    )
    wordings: str = field(
        default="usual",
        metadata={"help": "Instructions: the usual three a task, many, or held_out", "choices": WORDINGS},
    )
    cameras: tuple[str, ...] = field(
        default=BUNDLED.cameras,
        metadata={"help": f"Each episode is filmed from one of them: {', '.join(CAMERAS)}"},
    )
    sizes: tuple[int, ...] = field(
        default=BUNDLED.sizes,
        metadata={"help": "Each episode has frames of one of these heights and widths, in pixels"},
    )
    num_frames: int = field(default=BUNDLED.num_frames, metadata={"help": "Frames of each video"})
    data_source: str | None = field(
        default=None,
        metadata={"help": "Name for all episodes; default: a quarter metaworld_eval, the rest metaworld_train"},
    )
    num_workers: int = field(default=1, metadata={"help": "Processes that simulate and render"})


def ingest_metaworld_command(options: IngestMetaworldOptions) -> None:
    """Run `rfm ingest metaworld`; it imports the simulator, so only here."""
    from rfm.ingest.metaworld.generate import generate_metaworld

    summary = generate_metaworld(
        Path(options.output),
        seed=options.seed,
        episodes_per_task=options.episodes_per_task,
        tasks=options.tasks or None,
        wordings=options.wordings,
        filming=Filming(options.cameras, options.sizes, options.num_frames),
        data_source=options.data_source,
        num_workers=options.num_workers,
    )
    logger.info("%s", summary)
