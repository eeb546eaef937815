"""Rules for every clip of a row, whatever is asked about it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from rfm.audit.rules.contract import Evidence, Finding, Shown
from rfm.vqa.schema import PREFIXES


def clip_findings(evidence: Evidence) -> list[Finding]:
    """Return what was found of the rules for clips; none where rows have no shapes."""
    applies = np.zeros(len(evidence.questions), bool)
    differs = np.zeros_like(applies)
    for prefix in PREFIXES:
        shown = evidence.shown(prefix)
        if shown.clip.shape is None:
            continue
        here = shown.clip.present & (shown.clip.shape.lengths > 0)
        applies |= here
        differs |= here & _other_shape(evidence, shown)
    return [Finding.of("frames_shape is that of the shown frames", applies, differs)] if applies.any() else []


def _other_shape(evidence: Evidence, shown: Shown) -> Bool[np.ndarray, " n"]:
    """Whether T differs from the number of shown frames, or H, W, C from the trajectory's where that is known."""
    shape = shown.clip.shape
    assert shape is not None
    differs = (shape.lengths != 4) | (shape.at(0) != shown.clip.frames.lengths)
    if evidence.episodes is not None:
        own = evidence.episodes.catalog.frames_shape
        for axis in (1, 2, 3):
            size = evidence.of_trajectory(own[:, axis], shown.trajectory)
            differs |= ~np.isnan(size) & (shape.at(axis) != size)
    return differs
