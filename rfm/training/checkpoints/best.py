"""Which checkpoint is the best, and which may go.

Whenever an evaluation is better than all before it, a checkpoint is saved with it, due or not, and kept while it is the
best; of equal ones the first stays the best. One that was not due is marked, and goes when a better one is whole. So
evaluations may be more frequent than checkpoints, and the best one is never without its weights.

A run that goes on takes the best from the evaluations that its checkpoint remembers and that still have a whole
checkpoint. Steps decide about order; neither times of files nor paths in saved states do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rfm.files import seal
from rfm.training.checkpoints.folders import checkpoint_of

logger = logging.getLogger(__name__)

MARK = "saved_as_best.json"
"""In a checkpoint that was saved for being the best and was not due."""


class Evaluation(NamedTuple):
    """The value of the deciding metric at a step."""

    step: int
    value: float


def mark(folder: Path, metric: str, value: float) -> None:
    """Mark a checkpoint as one that is kept only while it is the best."""
    text = json.dumps({"metric": metric, "value": value, "kept": "while it is the best"}, indent=1)
    (folder / MARK).write_text(text + "\n", encoding="utf-8")


def evaluations(history: Iterable[Mapping[str, Any]], metric: str) -> list[Evaluation]:
    """Return the evaluations in a Trainer's log, in order."""
    return [Evaluation(entry["step"], entry[metric]) for entry in history if metric in entry]


def best_of(found: Iterable[Evaluation], *, greater: bool) -> Evaluation | None:
    """Return the best evaluation, of equal ones the first."""
    return min(found, key=lambda one: (-one.value if greater else one.value, one.step), default=None)


def best_kept(history: Iterable[Mapping[str, Any]], metric: str, folder: Path, *, greater: bool) -> Evaluation | None:
    """Return the best evaluation whose checkpoint in `folder` is whole; warns where a better one has none."""
    found = evaluations(history, metric)
    kept = best_of((one for one in found if seal.is_there(checkpoint_of(folder, one.step))), greater=greater)
    best = best_of(found, greater=greater)
    if best is not None and (kept is None or kept.value != best.value):
        rest = "the run begins without a best" if kept is None else f"the best that is kept is {_said(kept, metric)}"
        logger.warning("%s was the best so far, but %s holds no whole checkpoint of it; %s",
                       _said(best, metric), folder, rest)  # fmt: skip
    return kept


def _said(one: Evaluation, metric: str) -> str:
    return f"{metric} {one.value:g} at step {one.step}"


def superseded(
    steps: Collection[int], marked: Collection[int], newest: int, best: int | None, limit: int | None
) -> list[int]:
    """Return the steps whose checkpoints may go now that the one of step `newest` is whole.

    Args:
        steps: Of all checkpoints.
        marked: Of those that were not due.
        newest: Just saved; stays whatever the limit is.
        best: Stays too.
        limit: Checkpoints to keep, at most; None for all that were due.

    """
    stay = {newest} | ({best} if best is not None else set())
    gone = [step for step in sorted(steps) if step in marked and step not in stay]
    rest = [step for step in sorted(steps) if step not in gone]
    surplus = 0 if limit is None else len(rest) - max(limit, len(stay))
    return gone + [step for step in rest if step not in stay][: max(surplus, 0)]
