"""The folder of a run: what it may already hold, where to go on, where the result goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rfm.errors import ConfigError, DataError
from rfm.files import seal
from rfm.files.lock import exclusive
from rfm.model.weights.base import BASE_FOLDER
from rfm.training.checkpoints.belongings import Belongings
from rfm.training.checkpoints.folders import BAD_ROWS, CHECKPOINTS, FINAL, LATEST, checkpoints, held
from rfm.training.options import TrainOptions

logger = logging.getLogger(__name__)


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
    folder.mkdir(parents=True, exist_ok=True)
    own = Belongings(folder)
    if options.resume_from_checkpoint:
        own.check([folder / FINAL])
    else:
        _clear(own, overwrite=options.overwrite_output_dir)
        own.claim(folder / BAD_ROWS)
    return folder


def _clear(own: Belongings, *, overwrite: bool) -> None:
    """Delete a run that was here before, if that was asked for."""
    there = held(own.folder)
    own.check([*there, own.folder / BAD_ROWS])  # before anything is deleted
    if there and not overwrite:
        names = ", ".join(path.name for path in there)
        raise ConfigError(
            f"`output_dir` must not hold a run already, but {own.folder} holds {names}; pass --resume_from_checkpoint "
            f"{LATEST} to go on, --overwrite_output_dir to delete it, or another --output_dir"
        )
    base = own.folder / BASE_FOLDER
    bases = [] if own.strangers([base]) else [base]
    own.delete([*there, *bases, *own.noted()] if overwrite else [own.folder / BAD_ROWS])


def resume_point(options: TrainOptions) -> Path | None:
    """Return the checkpoint to go on from, or None for a run from the start.

    `latest` passes over checkpoints whose saving was interrupted, and says so; one that was named must be whole, and
    the last one in `output_dir` where it lies there: later ones would pass for those of the run that goes on.
    """
    wanted, folder = options.resume_from_checkpoint, Path(options.output_dir)
    if wanted is None:
        return None
    if wanted == LATEST:
        return _latest_whole(folder)
    checkpoint = Path(wanted)
    if not (checkpoint / "trainer_state.json").is_file():
        there = ", ".join(path.name for path in held(folder)) or "nothing"
        raise DataError(
            f"`resume_from_checkpoint` must be a checkpoint of a run, but {checkpoint} has no trainer_state.json;"
            f" {folder} holds {there}"
        )
    if reason := seal.fault(checkpoint):
        raise DataError(
            f"`resume_from_checkpoint` must be a whole checkpoint, but {checkpoint} is not: {reason}; its saving or "
            f"copying was interrupted or it was changed, pass another one or {LATEST}"
        )
    _check_last(checkpoint, folder)
    return checkpoint


def _check_last(checkpoint: Path, folder: Path) -> None:
    there = [path for path in checkpoints(folder).values() if seal.listed(path) is not None]
    steps = [number for number, path in enumerate(there) if path.resolve() == checkpoint.resolve()]
    later = there[steps[0] + 1 :] if steps else []
    if later:
        raise ConfigError(
            f"`resume_from_checkpoint` must be the last checkpoint in `output_dir`, but {checkpoint} is followed by "
            f"{', '.join(path.name for path in later)}; pass {LATEST}, move those elsewhere, or pass "
            "another --output_dir"
        )


def _latest_whole(folder: Path) -> Path:
    found = list(reversed(checkpoints(folder).values()))
    for checkpoint in found:
        if (reason := seal.fault(checkpoint)) is None:
            return checkpoint
        logger.warning("%s is passed over, it is not whole: %s", checkpoint, reason)
    there = f"no {CHECKPOINTS}" if not found else f"no whole {CHECKPOINTS}, only {', '.join(p.name for p in found)}"
    raise DataError(
        f"`resume_from_checkpoint` must find a checkpoint, but {folder} holds {there}; leave it out to train from the"
        f" start{', with --overwrite_output_dir' if held(folder) else ''}"
    )


def replace_folder(own: Belongings, new: Path, old: Path) -> None:
    """Give `new`, which is sealed, the place of `old`, which need not exist."""
    own.claim_anew(old)
    new.rename(old)
    own.disown([new, old])
