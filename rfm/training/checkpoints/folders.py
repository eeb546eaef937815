"""Names in a run's folder: its checkpoints by step, what came of it, and where it can be gone on with.

Light on purpose: an interrupted command looks here before torch is imported. Checkpoints are ordered by the step in
their name and never by a file's time, which copies and clocks that step back change.
"""

from __future__ import annotations

import re
from pathlib import Path

from rfm.files import seal

FINAL = "final"
UNFINISHED_FINAL = "final.partial"
LOGS = "runs"
BAD_ROWS = "bad_rows.jsonl"
CHECKPOINTS = "checkpoint-*"
LATEST = "latest"
_NAME = re.compile(r"checkpoint-(\d+)")


def checkpoint_of(folder: Path, step: int) -> Path:
    """Return the folder of a step's checkpoint, whether it exists or not."""
    return folder / CHECKPOINTS.replace("*", str(step))


def checkpoints(folder: Path) -> dict[int, Path]:
    """Return the checkpoints in a run's folder by step, in order, whole or not."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob(CHECKPOINTS) if path.is_dir())
    return dict(sorted((int(name[1]), path) for name, path in found if name is not None))


def latest_sealed(folder: Path) -> Path | None:
    """Return the checkpoint of the last step whose saving was finished."""
    return next((path for path in reversed(checkpoints(folder).values()) if seal.listed(path) is not None), None)


def held(folder: Path) -> list[Path]:
    """Return what makes a folder that of a run: checkpoints and `final`."""
    return [*checkpoints(folder).values(), *folder.glob(FINAL)]


def way_on(folder: Path) -> str:
    """Return what goes on with the run in `folder` after it ended early, as its files are now."""
    if (last := latest_sealed(folder)) is not None:
        return f"go on from {last.name} with --resume_from_checkpoint {LATEST}"
    if held(folder):
        return "no checkpoint is whole yet: start anew with --overwrite_output_dir"
    return "nothing was saved yet: the same command starts anew"
