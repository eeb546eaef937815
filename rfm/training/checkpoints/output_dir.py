"""The folder of a run: what it may already hold, where to go on, where the result goes."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rfm.errors import ConfigError, DataError
from rfm.files import seal
from rfm.files.ownership import exclusive
from rfm.model.base import BASE_FOLDER
from rfm.training.options import LATEST, TrainOptions

logger = logging.getLogger(__name__)

FINAL = "final"
LOGS = "runs"
CHECKPOINTS = "checkpoint-*"
BAD_ROWS = "bad_rows.jsonl"


@contextmanager
def one_run(options: TrainOptions) -> Iterator[None]:
    """Hold the folder's lock; ConfigError where another run writes there: their checkpoints would mix."""
    folder = Path(options.output_dir)
    if folder.exists() and not folder.is_dir():  # `prepare` says what is wrong
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder, wait=False):
        yield


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
    if not options.resume_from_checkpoint:
        (folder / BAD_ROWS).unlink(missing_ok=True)
    return folder


def resume_point(options: TrainOptions) -> Path | None:
    """Return the checkpoint to go on from, or None for a run from the start.

    `latest` passes over checkpoints whose saving was interrupted, and says so; one that was named must be whole.
    """
    wanted, folder = options.resume_from_checkpoint, Path(options.output_dir)
    if wanted is None:
        return None
    if wanted == LATEST:
        return _latest_whole(folder)
    checkpoint = Path(wanted)
    if not (checkpoint / "trainer_state.json").is_file():
        held = ", ".join(path.name for path in _held(folder)) or "nothing"
        raise DataError(
            f"`resume_from_checkpoint` must be a checkpoint of a run, but {checkpoint} has no trainer_state.json;"
            f" {folder} holds {held}"
        )
    if reason := seal.fault(checkpoint):
        raise DataError(
            f"`resume_from_checkpoint` must be a whole checkpoint, but {checkpoint} is not: {reason}; its saving or "
            f"copying was interrupted or it was changed, pass another one or {LATEST}"
        )
    return checkpoint


def _latest_whole(folder: Path) -> Path:
    found = sorted(folder.glob(CHECKPOINTS), key=_step, reverse=True)
    for checkpoint in found:
        if (reason := seal.fault(checkpoint)) is None:
            return checkpoint
        logger.warning("%s is passed over, it is not whole: %s", checkpoint, reason)
    held = f"no {CHECKPOINTS}" if not found else f"no whole {CHECKPOINTS}, only {', '.join(p.name for p in found)}"
    raise DataError(
        f"`resume_from_checkpoint` must find a checkpoint, but {folder} holds {held}; leave it out to train from the"
        f" start{', with --overwrite_output_dir' if _held(folder) else ''}"
    )


def _step(checkpoint: Path) -> int:
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def replace_folder(new: Path, old: Path) -> None:
    """Give `new` the place of `old`, which need not exist."""
    shutil.rmtree(old, ignore_errors=not old.exists())
    new.rename(old)


def _held(folder: Path) -> list[Path]:
    return sorted([*folder.glob(CHECKPOINTS), *folder.glob(FINAL)])
