"""How much of what a model is judged on it has seen in training, by the paths of frames that its checkpoint keeps."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from rfm.evaluation.exam import Exam
from rfm.export.training_record import read_record
from rfm.vqa.provenance import load_hashes, trajectory_hashes

logger = logging.getLogger(__name__)


def trained_on_share(model_path: Path, exam: Exam) -> float | None:
    """Return the share of the dataset's trajectories that the model was trained on; None where that is not recorded."""
    trained = load_hashes(model_path)
    shown = trajectory_hashes(exam.dataset)
    if trained is None or not len(shown):
        logger.warning("whether the model was trained on these trajectories is not known: no record in %s", model_path)
        return None
    share = float(np.isin(shown, trained).mean())
    if share:
        logger.warning(
            "%.0f%% of the trajectories in this dataset were trained on, by the paths of their frames: these are not "
            "held-out results; draw a test set from other trajectories with --partition eval%s",
            100 * share, _unless_made_anew(model_path, exam),
        )  # fmt: skip
    return share


def _unless_made_anew(model_path: Path, exam: Exam) -> str:
    """Return what to say of sources whose rows were others in training: episodes of equal paths may be others too."""
    before, now = (one.get("source_hashes") or {} for one in (read_record(model_path).data, exam.config))
    changed = sorted(key for key in set(before) & set(now) if before[key] != now[key])
    if not changed:
        return ""
    return (
        f". The records of {', '.join(changed)} were others in training: if they were made anew under the same names, "
        "`rfm audit` of both datasets tells them apart by their frames"
    )
