"""Progress strategies: how far did the robot get on the instruction, from 0 to 100.

    different_task_instruction  a forward clip with another task's instruction: 0 for one of another scene, the recorded
                                progress towards it for one of the same
    forward_progress            a forward clip
    reverse_progress            a clip that runs backwards
    rewind                      a clip that goes past its end and back to it
    reverse_progress+rewind     a clip that goes back past its end and forward to it (`data.strategies_per_sample=2`)

Ends are spread evenly over progress, and how many frames are shown is drawn (`clips.counts`). Episodes that are neither
successful nor recorded serve `forward_progress` by clips to their end if they have a partial success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Int64

from rfm.sampling.clips.counts import fitting, most_shown
from rfm.sampling.clips.ends import draw_end
from rfm.sampling.clips.shapes import shown_counts
from rfm.sampling.clips.table import Clips, bounce, evenly
from rfm.sampling.instructions import ELSEWHERE
from rfm.sampling.material import Asked, Material, ScoreDraw, ScoreStrategy, Unsupported
from rfm.sampling.pairs.episode import choose
from rfm.sampling.pools import Order, Runs
from rfm.sampling.random import RowRandom
from rfm.sampling.same_scene import SameSceneClips

_Laying = Callable[[Material, RowRandom, np.ndarray], Clips]


def forward_progress(material: Material) -> ScoreStrategy:
    """A clip that plays forwards."""
    return _with_own_instruction(material, _scorable_pool(material), _forward)


def reverse_progress(material: Material) -> ScoreStrategy:
    """A clip that plays backwards from a later frame."""
    return _with_own_instruction(material, _known_pool(material), _backward)


def rewind(material: Material) -> ScoreStrategy:
    """A clip that goes past its end and back to it."""
    if material.max_frames < 3:
        raise Unsupported(f"needs 3 shown frames to turn back, but data.max_frames is {material.max_frames}")
    return _with_own_instruction(material, _known_pool(material), _rewound)


def reversed_rewind(material: Material) -> ScoreStrategy:
    """A clip that goes back past its end and forward to it."""
    if material.max_frames < 3:
        raise Unsupported(f"needs 3 shown frames to turn, but data.max_frames is {material.max_frames}")
    return _with_own_instruction(material, _known_pool(material), _rewound_backwards)


def different_task_instruction(material: Material) -> ScoreStrategy:
    """A forward clip with the instruction of another task, drawn as often as it is drawn as a right one.

    The clip is of the pool that serves right ones, and of a source in which the instruction is a right one too.
    """
    told, known = _scorable_pool(material), material.instructions
    served = _mask(material, told.members)
    here, elsewhere = SameSceneClips(material, served), material.pool(served, material.weights)
    near, far = here.serves, elsewhere.outside(slice(None)) > 0
    texts = material.pool(served & (near | far), material.weights)
    if not len(texts):
        raise Unsupported(_nothing_wrong(material, told))
    mates = Runs(material.catalog.task_code[texts.members].astype(np.int64), texts.weights)

    def draw(random: RowRandom) -> ScoreDraw:
        row = texts.draw(random, "wrong/instruction")
        task = material.catalog.task_code[row]
        mate = texts.members[mates.draw(random.uniform("wrong/mate"), task.astype(np.int64))]
        beside = np.where(random.uniform("wrong/same source") < material.same_source_prob, row, mate)
        same = near[beside] & (~far[beside] | (random.uniform("wrong/same scene") < material.same_scene_share))
        shown, relation = np.empty_like(row), np.full(len(row), ELSEWHERE)
        shown[~same] = elsewhere.draw_outside(random.take(np.flatnonzero(~same)), "wrong/video", beside[~same])
        shown[same], relation[same] = here.draw(random.take(np.flatnonzero(same)), beside[same])
        asked = Asked(relation, known.kind(relation, task, shown))
        return ScoreDraw(material.catalog.text_code[row], _forward(material, random, shown), asked)

    return draw


COMBINED: Mapping[str, Callable[[Material], ScoreStrategy]] = MappingProxyType(
    {"reverse_progress+rewind": reversed_rewind}
)
"""What `data.strategies_per_sample=2` adds."""
DEFAULTS: Mapping[str, Callable[[Material], ScoreStrategy]] = MappingProxyType(
    {
        "different_task_instruction": different_task_instruction,
        "forward_progress": forward_progress,
        "reverse_progress": reverse_progress,
        "rewind": rewind,
    }
)
"""In the order of `data.progress_strategy_ratio`."""


def _with_own_instruction(material: Material, pool: Order, lay: _Laying) -> ScoreStrategy:
    if not len(pool):
        raise Unsupported(_without_progress(material))

    def draw(random: RowRandom) -> ScoreDraw:
        trajectory = pool.draw(random, "trajectory")
        return ScoreDraw(material.catalog.text_code[trajectory], lay(material, random, trajectory))

    return draw


def _nothing_wrong(material: Material, told: Order) -> str:
    if not len(told):
        return _without_progress(material)
    tasks = len(np.unique(material.catalog.task_code[told.members]))
    several = (
        f"{tasks} tasks, of which no source has two of different scenes, or of one scene with `progress_by_task`, that "
        "don't show the same videos (`preference_group_id`, `frames`)"
    )
    needs = "needs episodes of at least 2 frames and known progress of two tasks"
    return f"{needs}, but the {len(told)} there are have {'one task' if tasks == 1 else several}"


def _without_progress(material: Material) -> str:
    known = material.share(material.progress.known_at_end & material.several)
    return (
        "needs episodes of at least 2 frames with known progress (`quality_label` successful, `progress` recorded, "
        f"or `partial_success` at their ends); {known} have one"
    )


def _known_pool(material: Material) -> Order:
    return material.pool(material.progress.known, material.weights)


def _scorable_pool(material: Material) -> Order:
    return material.pool(material.progress.known_at_end, material.weights)


def _mask(material: Material, members: Int64[np.ndarray, " k"]) -> Bool[np.ndarray, " n"]:
    out = np.zeros(len(material.catalog), bool)
    out[members] = True
    return out


def _forward(material: Material, random: RowRandom, trajectory: np.ndarray) -> Clips:
    """Return forward clips; to the end of the episode where only its end has a progress."""
    frames = material.frames[trajectory]
    curves = material.progress.curves(trajectory)
    inside = (curves.frames >= 1) & (curves.frames < frames[:, None])
    only_end = material.progress.known_at_end[trajectory] & ~material.progress.known[trajectory]
    last = curves.frames == frames[:, None] - 1
    to_end = only_end | material.whole_episodes
    end = draw_end(random, "forward/end", curves, np.where(to_end[:, None], last, inside))
    if material.whole_episodes:
        return evenly(trajectory, end * 0, end, np.minimum(material.max_frames, end + 1), material.max_frames)
    count = _shown(material, random, trajectory, end + 1)
    start = random.below("forward/start", end - count + 2)
    return evenly(trajectory, start, end, count, material.max_frames)


def _backward(material: Material, random: RowRandom, trajectory: np.ndarray) -> Clips:
    last = material.frames[trajectory] - 1
    end = _early_end(material, random, trajectory)
    count = _shown(material, random, trajectory, last - end + 1)
    start = last - random.below("backward/start", last - end - count + 2)
    return evenly(trajectory, start, end, count, material.max_frames)


def _rewound(material: Material, random: RowRandom, trajectory: np.ndarray) -> Clips:
    """Return clips that go forward past their end and turn back."""
    return _turning(material, random, trajectory, _early_end(material, random, trajectory))


def _rewound_backwards(material: Material, random: RowRandom, trajectory: np.ndarray) -> Clips:
    """Return clips that go back past their end and turn forward: the mirror image of rewound ones."""
    curves, last = material.progress.curves(trajectory), material.frames[trajectory] - 1
    known_places = (curves.frames >= 1) & (curves.frames <= last[:, None])
    end = draw_end(random, "late end", curves, known_places)
    clips = _turning(material, random, trajectory, last - end)
    return replace(clips, indices=np.where(clips.indices >= 0, last.astype(np.int32)[:, None] - clips.indices, -1))


def _turning(material: Material, random: RowRandom, trajectory: np.ndarray, end: Int64[np.ndarray, " m"]) -> Clips:
    """Return clips that turn back at a random shown frame, with at least a frame's way between shown frames.

    A turn after `m` steps leaves b = count - 1 - m steps back; the peak is b steps past the end and must lie inside the
    episode, the start is m steps before the peak and must not lie before frame 0. Both bound the step.
    """
    after, ticket = material.frames[trajectory] - 1 - end, random.uniform("rewind/turn")
    reach, turn, count = after.astype(np.float64), np.ones_like(end), np.full_like(end, 3)
    most, laid = _most_shown(material, random, trajectory), np.zeros(len(end), bool)
    for shown in (most.max(initial=0),) if material.original_mixture else shown_counts(material.max_frames):
        turns = np.arange(1, shown - 1)
        back = shown - 1 - turns
        ahead = turns - back
        longest = after[:, None] / back
        longest = np.where(ahead > 0, np.minimum(longest, end[:, None] / np.maximum(ahead, 1)), longest)
        fits = longest >= 1
        rows = np.flatnonzero(fits.any(axis=1) & (most >= shown) & ~laid)
        column = choose(fits[rows], ticket[rows])
        reach[rows], turn[rows], count[rows], laid[rows] = longest[rows, column], turns[column], shown, True
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


def _early_end(material: Material, random: RowRandom, trajectory: np.ndarray) -> Int64[np.ndarray, " m"]:
    """Return ends that have a frame after them."""
    curves = material.progress.curves(trajectory)
    return draw_end(random, "early end", curves, curves.frames < material.frames[trajectory][:, None] - 1)
