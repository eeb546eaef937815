"""How many frames a progress clip shows: a number that is drawn, so that it doesn't tell how far the clip got.

A clip that shows 16 frames of an episode of 32 can't end before its middle, and one that shows as many as fit tells its
end by their number: then counting frames predicts progress to 0.67 to 0.79 of the best constant's error (episodes of 32
to 64 frames, time as progress). So the most that a clip may show is drawn first, evenly among `data.max_frames`, its
half, its quarter and so on, down to a tenth of the episode or FEWEST; where fewer fit, it is the next of those numbers
that does. This gives 0.86 to 0.94; what is left is what showing half of an episode must tell.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from rfm.sampling.clips.shapes import shown_counts
from rfm.sampling.random import RowRandom

FEWEST = 4
"""Below this a clip shows fewer frames only where no more fit."""
_PART = 10


def most_shown(random: RowRandom, frames: Int64[np.ndarray, " m"], max_frames: int) -> Int64[np.ndarray, " m"]:
    """Return the most frames that a clip of each episode of `frames` frames may show."""
    counts = np.array([count for count in shown_counts(max_frames) if count >= min(FEWEST, max_frames)])
    above = (counts * _PART > frames[:, None]).sum(axis=1)
    return counts[random.below("most shown", np.minimum(above + 1, len(counts)))]


def fitting(most: Int64[np.ndarray, " m"], room: Int64[np.ndarray, " m"], max_frames: int) -> Int64[np.ndarray, " m"]:
    """Return the largest number of frames, at most `most`, that `room` >= 2 frames hold, of those that clips show."""
    counts = np.array((*shown_counts(max_frames), 2))
    return counts[(counts <= np.minimum(most, room)[:, None]).argmax(axis=1)]
