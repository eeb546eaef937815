"""Questions within one scene: each clip with its own instruction and with those of its scene whose answer is known.

A video is asked about as a whole, and about the prefix at which one of two instructions is the farthest ahead of the
other, for either of them: at first a window that is being closed is an open one. A prefix is left out where that is no
further than at the end, by less than `gap`. Memory: a few numbers an entry of `Catalog.towards`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.sampling.instructions import OWN, SAME_SCENE
from rfm.sampling.progress import Curves, Progress
from rfm.sampling.usable import Usable

_BLOCK = 4096


@dataclass(frozen=True)
class WithinScene:
    """n questions by trajectory and end; the own instruction comes first of each clip."""

    trajectory: Int64[np.ndarray, " n"]
    end: Int64[np.ndarray, " n"]
    """The last frame of the clip, which begins at frame 0."""
    relation: Int64[np.ndarray, " n"]
    """OWN or an entry of `Catalog.towards`."""

    @staticmethod
    def of(usable: Usable, progress: Progress, gap: float) -> WithinScene:
        """Return the questions of all trajectories that have any."""
        towards = usable.catalog.towards
        entries = _entries(usable, progress)
        entry, end = _clips(progress, entries, gap)
        owned = np.unique(np.stack([towards.trajectory[entry], end], axis=1), axis=0)
        trajectory = np.concatenate([owned[:, 0], towards.trajectory[entry]])
        ends, relation = np.concatenate([owned[:, 1], end]), np.concatenate([np.full(len(owned), OWN), entry])
        order = np.lexsort((relation, ends, trajectory))
        return WithinScene(trajectory[order], ends[order], relation[order])


def _entries(usable: Usable, progress: Progress) -> Int64[np.ndarray, " k"]:
    """Return the entries of another task of the scene, of trajectories whose own end is known."""
    towards, known = usable.catalog.towards, usable.instructions
    entries = known.entries
    task, trajectory = towards.task[entries], towards.trajectory[entries]
    within = known.kind(entries, task, trajectory) == SAME_SCENE
    return entries[within & progress.known_at_end[trajectory]]


def _clips(
    progress: Progress, entries: Int64[np.ndarray, " k"], gap: float
) -> tuple[Int64[np.ndarray, " c"], Int64[np.ndarray, " c"]]:
    """Return entries and the ends of the clips of which they are asked."""
    catalog = progress.catalog
    last = catalog.num_frames[catalog.towards.trajectory[entries]].astype(np.int64) - 1
    found = [np.stack([entries, last], axis=1)]
    by_frame = entries[progress.known[catalog.towards.trajectory[entries]]]
    for low in range(0, len(by_frame), _BLOCK):
        part = by_frame[low : low + _BLOCK]
        curves = progress.curves(catalog.towards.trajectory[part])
        ahead = curves.progress.astype(np.float64) - progress.curves_towards(part).progress
        for lead in (ahead, -ahead):
            end, worth = _farthest(curves, lead, gap)
            found.append(np.stack([part, end], axis=1)[worth])
    entry, end = np.concatenate(found).T
    return entry, end


def _farthest(
    curves: Curves, lead: Float64[np.ndarray, "m G"], gap: float
) -> tuple[Int64[np.ndarray, " m"], Bool[np.ndarray, " m"]]:
    """Return the latest frame before the last where the lead is largest, and where it is by `gap` larger than there."""
    frames = curves.frames.astype(np.int64)
    inside = ~np.isnan(lead)
    at_last = np.where(inside, frames, -1).argmax(axis=1)
    row = np.arange(len(lead))
    before = inside & (frames >= 1) & (frames < frames[row, at_last][:, None])
    values = np.where(before, lead, -np.inf).round(6)
    at = values.shape[1] - 1 - values[:, ::-1].argmax(axis=1)
    return frames[row, at], values[row, at] >= np.maximum(lead[row, at_last], 0.0) + gap - 1e-6
