"""Progress strategies: how far did the robot get on the instruction, from 0 to 100.

    different_task_instruction  a forward clip with another task's instruction: 0 for one of another scene, the recorded
                                progress towards it for one of the same
    forward_progress            a forward clip
    prefix_progress             a forward clip from frame 0
    whole_progress              a whole episode
    reverse_progress            a clip that runs backwards
    rewind                      a clip that goes past its end and back to it
    reverse_progress+rewind     a clip that goes back past its end and forward to it (`data.strategies_per_sample=2`)

How the clips are laid is `laying`'s. Episodes that are neither successful nor recorded serve `forward_progress` and
`whole_progress` by their ends if they have a partial success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Int64

from rfm.sampling.instructions import ELSEWHERE
from rfm.sampling.material import Asked, Material, ScoreDraw, ScoreStrategy, Unsupported
from rfm.sampling.pools import Order, Runs
from rfm.sampling.random import RowRandom
from rfm.sampling.same_scene import SameSceneClips
from rfm.sampling.strategies import laying


def forward_progress(material: Material) -> ScoreStrategy:
    """A clip that plays forwards."""
    return _with_own_instruction(material, _scorable_pool(material), laying.forward)


def prefix_progress(material: Material) -> ScoreStrategy:
    """A clip from frame 0 to a drawn end."""
    return _with_own_instruction(material, _known_pool(material), laying.prefix)


def whole_progress(material: Material) -> ScoreStrategy:
    """A whole episode."""
    return _with_own_instruction(material, _scorable_pool(material), laying.whole)


def reverse_progress(material: Material) -> ScoreStrategy:
    """A clip that plays backwards from a later frame."""
    return _with_own_instruction(material, _known_pool(material), laying.backward)


def rewind(material: Material) -> ScoreStrategy:
    """A clip that goes past its end and back to it."""
    if material.max_frames < 3:
        raise Unsupported(f"needs 3 shown frames to turn back, but data.max_frames is {material.max_frames}")
    return _with_own_instruction(material, _known_pool(material), laying.rewound)


def reversed_rewind(material: Material) -> ScoreStrategy:
    """A clip that goes back past its end and forward to it."""
    if material.max_frames < 3:
        raise Unsupported(f"needs 3 shown frames to turn, but data.max_frames is {material.max_frames}")
    return _with_own_instruction(material, _known_pool(material), laying.rewound_backwards)


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
        return ScoreDraw(material.catalog.text_code[row], laying.lay_as_right(material, random, shown), asked)

    return draw


COMBINED: Mapping[str, Callable[[Material], ScoreStrategy]] = MappingProxyType(
    {"reverse_progress+rewind": reversed_rewind}
)
"""What `data.strategies_per_sample=2` adds."""
NEW: Mapping[str, Callable[[Material], ScoreStrategy]] = MappingProxyType(
    {"prefix_progress": prefix_progress, "whole_progress": whole_progress}
)
"""What the original does not have."""
DEFAULTS: Mapping[str, Callable[[Material], ScoreStrategy]] = MappingProxyType(
    {
        "different_task_instruction": different_task_instruction,
        "forward_progress": forward_progress,
        "reverse_progress": reverse_progress,
        "rewind": rewind,
        **NEW,
    }
)
"""First those of a list in `data.progress_strategy_ratio`, in its order."""


def _with_own_instruction(material: Material, pool: Order, lay: laying.Laying) -> ScoreStrategy:
    if not len(pool):
        raise Unsupported(_without_progress(material, every_frame=lay not in (laying.forward, laying.whole)))

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


def _without_progress(material: Material, *, every_frame: bool = False) -> str:
    ends = material.share(material.progress.known_at_end & material.several)
    if every_frame:
        return (
            "needs episodes of at least 2 frames whose every frame has a progress (`quality_label` successful, or "
            f"`progress` recorded), but there are none; {ends} have one at their ends alone"
        )
    return (
        "needs episodes of at least 2 frames with known progress (`quality_label` successful, `progress` recorded, "
        f"or `partial_success` at their ends); {ends} have one"
    )


def _known_pool(material: Material) -> Order:
    return material.pool(material.progress.known, material.weights)


def _scorable_pool(material: Material) -> Order:
    return material.pool(material.progress.known_at_end, material.weights)


def _mask(material: Material, members: Int64[np.ndarray, " k"]) -> Bool[np.ndarray, " n"]:
    out = np.zeros(len(material.catalog), bool)
    out[members] = True
    return out
