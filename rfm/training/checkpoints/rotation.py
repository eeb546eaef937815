"""Deletes checkpoints that a newer one replaces, and what killed runs left unfinished."""

from __future__ import annotations

import logging
from pathlib import Path

from rfm.training.checkpoints.belongings import Belongings
from rfm.training.checkpoints.best import MARK, superseded
from rfm.training.checkpoints.folders import checkpoints

logger = logging.getLogger(__name__)


def rotate(own: Belongings, newest: int, best: int | None, limit: int | None) -> None:
    """Delete what `best.superseded` says, as far as it is ours, after step `newest` was sealed."""
    found, noted = checkpoints(own.folder), own.noted()
    unfinished = [step for step, path in found.items() if step != newest and path in noted]
    whole = found.keys() - unfinished
    marked = {step for step in whole if (found[step] / MARK).is_file()}
    for step in [*unfinished, *superseded(whole, marked, newest, best, limit)]:
        _delete(own, found[step])


def _delete(own: Belongings, path: Path) -> None:
    if strangers := own.strangers([path]):
        logger.warning("%s stays: %s was not written by `rfm train`", path, strangers[0])
    else:
        own.delete([path])
