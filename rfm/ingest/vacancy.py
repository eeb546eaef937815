"""What may lie where a dataset is to be written: nothing, or what an ingest or a merge wrote and may write again."""

from __future__ import annotations

import re
from pathlib import Path

from rfm.errors import ConfigError
from rfm.trajectories.store import PROCESSED

UNFINISHED = "unfinished.json"
"""In a dataset's folder as long as it is not complete."""
_OURS = re.compile(r"(trajectory_|\d{6}_).*\.npz|\..*\.tmp")
"""What an ingest or a merge leaves in `frames`."""


def check_vacant(folder: Path) -> None:
    """The folder may hold nothing or an unfinished run; the `frames` of episodes that were all rejected are nothing."""
    if (folder / UNFINISHED).is_file():
        return
    frames = folder / "frames"
    held = PROCESSED if (folder / PROCESSED).exists() else "frames"
    if (folder / held).exists() and not (held == "frames" and frames.is_dir() and not any(frames.iterdir())):
        raise ConfigError(f"{folder} must be free for a new dataset, but holds `{held}`: use --overwrite to replace it")


def check_ours(folder: Path) -> None:
    """Frames may only be cleared away where they are an ingest's: recordings often lie in a folder of that name."""
    frames = folder / "frames"
    if not frames.exists():
        return
    foreign = [path for path in frames.iterdir() if not _OURS.fullmatch(path.name)] if frames.is_dir() else [frames]
    if foreign:
        raise ConfigError(
            f"{folder} must be free for a new dataset, but holds {foreign[0]}, which no ingest wrote and which is not "
            "deleted: name another --output"
        )
