"""The folder of a run: what it may already hold, where to go on, where the result goes."""

from __future__ import annotations

import shutil
from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint

from rfm.errors import ConfigError, DataError
from rfm.model.load import BASE_FOLDER
from rfm.training.options import LATEST, TrainOptions

FINAL = "final"
LOGS = "runs"
CHECKPOINTS = "checkpoint-*"


def prepare(options: TrainOptions) -> Path:
    """Create the folder, or check that what it holds may be gone on with or deleted."""
    folder = Path(options.output_dir)
    if folder.is_file():
        raise ConfigError(f"`output_dir` must be a folder, but {folder} is a file; name another")
    held = _held(folder)
    if held and not options.resume_from_checkpoint:
        if not options.overwrite_output_dir:
            names = ", ".join(path.name for path in held)
            raise ConfigError(
                f"`output_dir` must not hold a run already, but {folder} holds {names}; pass --resume_from_checkpoint "
                f"{LATEST} to go on, --overwrite_output_dir to delete it, or another --output_dir"
            )
        for path in [*held, folder / LOGS, folder / BASE_FOLDER]:
            shutil.rmtree(path, ignore_errors=not path.exists())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def resume_point(options: TrainOptions) -> Path | None:
    """Return the checkpoint to go on from, or None for a run from the start."""
    wanted = options.resume_from_checkpoint
    if wanted is None:
        return None
    latest = _latest(options.output_dir) if wanted == LATEST else wanted
    if latest is None:
        raise DataError(
            f"`resume_from_checkpoint` must find a checkpoint, but {options.output_dir} holds no {CHECKPOINTS}"
        )
    if not (Path(latest) / "trainer_state.json").is_file():
        held = ", ".join(path.name for path in _held(Path(options.output_dir))) or "nothing"
        raise DataError(
            f"`resume_from_checkpoint` must be a checkpoint of a run, but {latest} has no trainer_state.json;"
            f" {options.output_dir} holds {held}"
        )
    return Path(latest)


def _latest(folder: str) -> str | None:
    return get_last_checkpoint(folder) if Path(folder).is_dir() else None


def _held(folder: Path) -> list[Path]:
    return sorted([*folder.glob(CHECKPOINTS), *folder.glob(FINAL)])
