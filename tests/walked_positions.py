"""Rotary positions by walking over a conversation token by token: the rule of transformers 4.49 to 5.2, and of vLLM.

Written from the rule and not from `rfm.batch.tokens.positions`: what follows a video or an image stands behind the
largest position so far, whichever of time, height and width it is in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def walked_positions(
    ids: Sequence[int], pads: Sequence[int], grids: Sequence[tuple[int, int, int]], merge: int, time_step: float
) -> np.ndarray:
    """Positions (3, length); `grids` in order, a grid's time steps counted in `time_step` where it has several."""
    found: list[tuple[int, int, int]] = []
    waiting, at = list(grids), 0
    while at < len(ids):
        following = max((max(place) for place in found), default=-1) + 1
        if ids[at] not in pads:
            found.append((following,) * 3)
            at += 1
            continue
        time, height, width = waiting.pop(0)
        for t in range(time):
            for h in range(height // merge):
                for w in range(width // merge):
                    assert ids[at] in pads
                    found.append((following + int(t * time_step), following + h, following + w))
                    at += 1
    assert not waiting
    return np.array(found).T
