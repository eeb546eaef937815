"""How clips with the right instruction are laid: forwards in three ways, backwards, and past their end and back.

    forward    from anywhere to a drawn end
    prefix     from frame 0 to a drawn end
    whole      from frame 0 to the last frame
    backward   from a later frame to a drawn end
    rewound    past the end and back to it; `rewound_backwards` is its mirror image

Ends are spread evenly over progress, with shares of their own for 0 and 100 (`clips.extremes`), and how many frames are
shown is drawn (`clips.counts`), alike for all ways. Where only the last frame of an episode has a progress, forward
clips and prefixes run to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Int64

from rfm.sampling.clips.counts import fitting, most_shown
from rfm.sampling.clips.ends import draw_end, with_a_frame_after, with_a_frame_before
from rfm.sampling.clips.shapes import shown_counts
from rfm.sampling.clips.table import Clips, bounce, evenly
from rfm.sampling.material import Material
from rfm.sampling.random import RowRandom

Laying = Callable[[Material, RowRandom, np.ndarray], Clips]


def forward(material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> Clips:
    """Return forward clips."""
    if material.whole_episodes:
        last = material.frames[trajectory] - 1
        return evenly(trajectory, last * 0, last, np.minimum(material.max_frames, last + 1), material.max_frames)
    end = _late_end(material, random, "forward/end", trajectory)
    count = _shown(material, random, trajectory, end + 1)
    start = random.below("forward/start", end - count + 2)
    return evenly(trajectory, start, end, count, material.max_frames)


def prefix(material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> Clips:
    """Return forward clips from frame 0."""
    return _from_frame_0(material, random, trajectory, _late_end(material, random, "prefix/end", trajectory))


def whole(material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> Clips:
    """Return whole episodes."""
    return _from_frame_0(material, random, trajectory, material.frames[trajectory] - 1)


FORWARD: Mapping[str, Laying] = MappingProxyType(
    {"forward_progress": forward, "prefix_progress": prefix, "whole_progress": whole}
)
"""The strategies that show right instructions forwards."""
FORWARD_SHARES: Mapping[str, float] = MappingProxyType(
    {"forward_progress": 1.5, "prefix_progress": 1.2, "whole_progress": 0.3}
)
"""Their shares of a default mixture, beside 1 of every other progress strategy.

Half of them start at frame 0, as use does. Where progress is time whole episodes all answer 100: more than 5 / 11 of
them would make that answer more frequent than a tenth of the scale.
"""


def lay_as_right(material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> Clips:
    """Return clips laid as forward clips with right instructions are: in each way as often as the mixture has it."""
    asked = {name: share for name, share in material.progress_shares.items() if name in FORWARD} or FORWARD_SHARES
    past = np.cumsum(list(asked.values()))
    way = np.searchsorted(past / past[-1], random.uniform("as right/way"), side="right")
    indices = np.empty((len(trajectory), material.max_frames), np.int32)
    count = np.empty(len(trajectory), np.int64)
    for number, name in enumerate(asked):
        rows = np.flatnonzero(way == number)
        laid = FORWARD[name](material, random.take(rows), trajectory[rows])
        indices[rows], count[rows] = laid.indices, laid.count
    return Clips(trajectory, indices, count)


def backward(material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> Clips:
    """Return clips that run backwards from a later frame."""
    last = material.frames[trajectory] - 1
    end = _early_end(material, random, trajectory)
    count = _shown(material, random, trajectory, last - end + 1)
    start = last - random.below("backward/start", last - end - count + 2)
    return evenly(trajectory, start, end, count, material.max_frames)


def rewound(material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> Clips:
    """Return clips that go forward past their end and turn back."""
    return _turning(material, random, trajectory, _early_end(material, random, trajectory))


def rewound_backwards(material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> Clips:
    """Return clips that go back past their end and turn forward: the mirror image of rewound ones."""
    rungs, last = material.progress.rungs(trajectory), material.frames[trajectory] - 1
    end = draw_end(random, "late end", rungs, with_a_frame_before(rungs, last + 1), material.extremes)
    clips = _turning(material, random, trajectory, last - end)
    return replace(clips, indices=np.where(clips.indices >= 0, last.astype(np.int32)[:, None] - clips.indices, -1))


def _turning(material: Material, random: RowRandom, trajectory: np.ndarray, end: Int64[np.ndarray, " m"]) -> Clips:
    """Return clips that turn back at a random shown frame, with at least a frame's way between shown frames.

    A turn after `m` steps leaves b = count - 1 - m steps back; the peak is b steps past the end and must lie inside the
    episode, the start is m - b steps before the end and must not lie before frame 0. Both bound m, and the step.
    """
    after, most = material.frames[trajectory] - 1 - end, _most_shown(material, random, trajectory)
    first, last, count = np.ones_like(end), np.ones_like(end), np.full_like(end, 3)
    shown = np.array((most.max(initial=0),) if material.original_mixture else shown_counts(material.max_frames))
    for k in shown[::-1]:  # the most frames that fit come last
        earliest, latest = np.maximum(1, k - 1 - after), np.minimum(k - 2, (end + k - 1) // 2)
        fits = (earliest <= latest) & (most >= k)
        first, last = np.where(fits, earliest, first), np.where(fits, latest, last)
        count = np.where(fits, k, count)
    turn = first + random.below("rewind/turn", last - first + 1)
    back = count - 1 - turn
    ahead = turn - back
    reach = after / back
    reach = np.where(ahead > 0, np.minimum(reach, end / np.maximum(ahead, 1)), reach)
    step = 1 + random.uniform("rewind/step") * (np.maximum(reach, 1) - 1)
    return bounce(trajectory, end, step, turn, count, material.max_frames)


def _most_shown(material: Material, random: RowRandom, trajectory: np.ndarray) -> Int64[np.ndarray, " m"]:
    if material.original_mixture:
        return np.full(len(trajectory), material.max_frames)
    return most_shown(random, material.frames[trajectory], material.max_frames)


def _shown(material: Material, random: RowRandom, trajectory: np.ndarray, room: np.ndarray) -> Int64[np.ndarray, " m"]:
    """Return how many frames clips show that reach over `room` frames at most."""
    if material.original_mixture:
        return np.minimum(material.max_frames, room)
    return fitting(_most_shown(material, random, trajectory), room, material.max_frames)


def _from_frame_0(
    material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"], end: Int64[np.ndarray, " m"]
) -> Clips:
    return evenly(trajectory, end * 0, end, _shown(material, random, trajectory, end + 1), material.max_frames)


def _late_end(
    material: Material, random: RowRandom, stream: str, trajectory: Int64[np.ndarray, " m"]
) -> Int64[np.ndarray, " m"]:
    """Return ends that have a frame before them; the last frame where only that has a progress."""
    progress, frames = material.progress, material.frames[trajectory]
    rungs = progress.rungs(trajectory)
    only_end = progress.known_at_end[trajectory] & ~progress.known[trajectory]
    late = rungs.since(np.where(only_end, frames - 1, 1)) & rungs.until(frames - 1)
    return draw_end(random, stream, rungs, late, material.extremes)


def _early_end(material: Material, random: RowRandom, trajectory: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """Return ends that have a frame after them."""
    rungs = material.progress.rungs(trajectory)
    early = with_a_frame_after(rungs, material.frames[trajectory])
    return draw_end(random, "early end", rungs, early, material.extremes)
