"""Which answers the progress strategies can give: what the shares of 0 and 100 are found from.

Every strategy draws episodes by their weights. A forward clip or a prefix can end at every frame that has one before
it, a clip that goes back at every frame that has one after it, a whole episode at its last frame alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from rfm.sampling.clips.ends import with_a_frame_after, with_a_frame_before
from rfm.sampling.clips.extremes import Extremes, Reach, at_bottom, at_top, balanced
from rfm.sampling.material import Material
from rfm.sampling.progress import Progress
from rfm.sampling.rungs import Rungs

_Places = Callable[[Rungs, Int64[np.ndarray, " m"]], UInt64[np.ndarray, " m"]]
_ENDS: Mapping[str, _Places] = MappingProxyType(
    {
        "forward_progress": with_a_frame_before,
        "prefix_progress": with_a_frame_before,
        "reverse_progress": with_a_frame_after,
        "rewind": with_a_frame_after,
        "reverse_progress+rewind": with_a_frame_before,
    }
)
"""Where clips of known progress can end, by strategy."""
_BY_LAST_FRAME = ("forward_progress", "whole_progress")
"""What episodes serve too of which only the last frame has a progress."""


def balanced_extremes(material: Material) -> Extremes | None:
    """Return the shares of 0 and 100 over the strategies of `material.progress_shares`; None where none has any."""
    if material.original_mixture or material.whole_episodes:
        return None
    strategies = [_reach(material, name, share) for name, share in material.progress_shares.items() if _is_right(name)]
    return balanced(strategies) if strategies else None


def _is_right(name: str) -> bool:
    return name in _ENDS or name in _BY_LAST_FRAME


def _reach(material: Material, name: str, share: float) -> Reach:
    progress, known = material.progress, material.progress.known
    weight = share * material.odds(progress.known_at_end if name in _BY_LAST_FRAME else known)
    last = progress.at_last_frame
    ends = np.stack([at_bottom(last), ~(at_bottom(last) | at_top(last) | np.isnan(last)), at_top(last)], axis=1)
    if name in _ENDS:
        ends = np.where(known[:, None], progress.measured(_measure(progress, material.frames, _ENDS[name])), ends)
    return Reach(weight, *ends.T)


def _measure(
    progress: Progress, frames: Int64[np.ndarray, " n"], places: _Places
) -> Callable[[Int64[np.ndarray, " m"]], Bool[np.ndarray, "m 3"]]:
    def kinds(trajectory: Int64[np.ndarray, " m"]) -> Bool[np.ndarray, "m 3"]:
        """Return whether each row has an answer of 0, one between, and one of 100."""
        rungs = progress.rungs(trajectory)
        ends = places(rungs, frames[trajectory]) & rungs.known
        return np.stack([ends & kind > 0 for kind in (rungs.bottom, ~(rungs.bottom | rungs.top), rungs.top)], axis=1)

    return kinds
