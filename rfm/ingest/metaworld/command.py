"""`rfm ingest metaworld`: its options, and how it runs."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestMetaworldOptions:
    """Simulate MetaWorld episodes and film them: videos, manifest.jsonl and simulator states (extra `sim`)."""

    output: str = field(metadata={"help": "Folder to write"})
    seed: int = field(default=0, metadata={"help": "The same seed and versions give the same frames"})
    episodes_per_task: int = field(default=40, metadata={"help": "Episodes of each task, a quarter held out"})
    tasks: tuple[str, ...] = field(default=(), metadata={"help": "Task ids; default: all of the bundle"})
    num_workers: int = field(default=1, metadata={"help": "Processes that simulate and render"})


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
