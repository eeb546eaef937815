"""`rfm manifest`: a list of the recordings in a folder, for people to fill in.

In: a folder with videos and folders of pictures. Out: `manifest.csv` in it, a line each, with what the flags say of
all. A list that is there already is never touched.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rfm.errors import ConfigError
from rfm.files.staging import staged_file
from rfm.ingest.listing.manifest import NAMES, ManifestRow, check_folder
from rfm.ingest.rules.spoken import SpokenOptions, spoken_rows

logger = logging.getLogger(__name__)

_COLUMNS = ("path", "task", "quality_label", "partial_success")


@dataclass(frozen=True)
class ManifestOptions:
    """Write manifest.csv, a line for each video and each folder of pictures in PATH, to fill in."""

    path: str = field(metadata={"help": "Folder of the recordings", "positional": True})
    task: str | None = field(default=None, metadata={"help": "What the robot was asked to do, in all of them"})
    task_from: str | None = field(
        default=None,
        metadata={"help": "`folder`: the first folder below PATH is named after the task", "choices": ("folder",)},
    )
    label: str | None = field(default=None, metadata={"help": "Quality of all: successful, suboptimal or failure"})


def manifest_command(options: ManifestOptions) -> int:
    """Run `rfm manifest`."""
    folder = check_folder(Path(options.path))
    output = folder / "manifest.csv"
    for taken in (folder / name for name in NAMES):
        if os.path.lexists(taken):
            raise ConfigError(f"{output} must be the first manifest there, but there is {taken}: move it away")
    said = SpokenOptions(
        path=options.path, output="", task=options.task, task_from=options.task_from, label=options.label
    )
    rows = [row for row, _ in spoken_rows(folder, said)]
    with staged_file(output) as staged:
        staged.write_text(_csv(rows), encoding="utf-8")
    logger.info("%d recordings listed in %s: fill it in, then run `rfm ingest videos %s`", len(rows), output, folder)
    return 0


def _csv(rows: Sequence[ManifestRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        values = (getattr(row, name) for name in _COLUMNS)
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()
