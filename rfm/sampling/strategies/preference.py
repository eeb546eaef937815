"""Preference strategies: which of two clips made more progress on the instruction.

    rewind            two clips of one episode, at least one of which goes past its end and back to it
    reverse_progress  two clips of one episode, both going back from the same start; the chosen one undoes less
    suboptimal        two episodes of one task, shown to their ends; the chosen one did better
    different_task    two episodes of different tasks; the chosen one ends further on the instruction of one of them
    same_task_progress, stopped_early  see `same_task`
    reverse_progress+rewind  two clips of one episode that go back, at least one past its end and forward to it
    quality_preference  for evaluation: whole episodes of a task of which one did better, each pair once

With `data.mixture=original` rewind sets a clip that goes straight to its end, always the chosen one, against one that
turns back, and reverse_progress a forward clip, always the chosen one, against a backward one.

Why a pair of one episode is drawn as it is: docs/generation.md, "No shortcut through the shape".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt64

from rfm.sampling.clips.ends import draw_end
from rfm.sampling.clips.shapes import original_rewind_pairs, rewind_pairs, straight_pairs
from rfm.sampling.clips.table import Clips, evenly
from rfm.sampling.instructions import ELSEWHERE
from rfm.sampling.material import Asked, Material, PairDraw, PairStrategy, Unsupported
from rfm.sampling.pairs.episode import EpisodePairs
from rfm.sampling.pairs.opposite import OppositePairs
from rfm.sampling.pairs.quality import EveryQualityPair, QualityPairs
from rfm.sampling.pairs.same_scene import SameScenePairs
from rfm.sampling.pools import Order
from rfm.sampling.random import RowRandom
from rfm.sampling.rungs import Rungs
from rfm.sampling.strategies.same_task import same_task_progress, stopped_early


def rewind(material: Material) -> PairStrategy:
    """Two clips of one episode; the coin that gives shapes to ends makes the rewound one chosen every other time."""
    return _one_episode(material, _episode_pairs(material, backwards=False))


def reverse_progress(material: Material) -> PairStrategy:
    """Two clips that go back from one start: the chosen one undoes less, or more of a mistake."""
    if material.original_mixture:
        pairs = OppositePairs(material.progress, material.several, max_frames=material.max_frames, gap=material.gap)
        return _one_episode(material, pairs)
    return _one_episode(material, _episode_pairs(material, backwards=True))


def reversed_rewind(material: Material) -> PairStrategy:
    """Two clips that go back from one start, at least one of which goes past its end and forward to it."""
    pairs = EpisodePairs(
        material.progress,
        material.several,
        shapes=rewind_pairs,
        max_frames=material.max_frames,
        gap=material.gap,
        backwards=True,
    )
    return _one_episode(material, pairs)


def quality_preference(material: Material) -> PairStrategy:
    """Two whole episodes of one task of which one did better: each such pair once before any comes again."""
    pairs = EveryQualityPair(material.catalog, material.several, material.threshold)
    turns = pairs.turns
    if not turns.total:
        raise _without_quality_pairs(material, pairs.notes)
    _note(material, pairs)

    def draw(random: RowRandom) -> PairDraw:
        assert random.ranks is not None, "evaluation draws in turn"
        better, worse = pairs[pairs.of(*turns.at(random.ranks, random.seed, "quality/turns"))]
        return _pair_to_the_end(material, better, worse, np.zeros(len(better)))

    return draw


def suboptimal(material: Material) -> PairStrategy:
    """Two episodes of one task to their ends, whole or from the same share of the way; the better one is chosen."""
    pairs = QualityPairs(material.catalog, material.several, material.threshold)
    anchors = material.lot(pairs.supported)
    if not len(anchors):
        raise _without_quality_pairs(material, pairs.notes)
    _note(material, pairs)

    def draw(random: RowRandom) -> PairDraw:
        better, worse = pairs.draw(random, anchors.draw(random, "quality/anchor"))
        whole = random.coin("suboptimal/whole episodes") | material.whole_episodes
        skipped = np.where(whole, 0, random.uniform("suboptimal/start") / 2)
        return _pair_to_the_end(material, better, worse, skipped)

    return draw


def different_task(material: Material) -> PairStrategy:
    """Forward clips of two tasks: the chosen one ends further on the instruction, which is one of the two tasks'.

    Of another scene's clip the progress on it is 0, and a coin says whose instruction it is; within a scene it is
    recorded, and either clip may be the chosen one.
    """
    eligible = _gets_somewhere(material)
    elsewhere, here = material.alike(eligible), SameScenePairs(material, eligible)
    near, far = here.serves, elsewhere.outside(slice(None)) > 0
    anchors = material.pool(eligible & (near | far))
    if not len(anchors):
        raise Unsupported(
            "needs episodes of two tasks with known progress of at least data.min_progress_gap="
            f"{material.gap:g}, of different scenes or with `progress_by_task`, of one source and frame size; "
            f"{material.share(eligible)} have that progress, no two of them so"
        )

    arrives = _arrives(material)

    def draw(random: RowRandom) -> PairDraw:
        own = anchors.draw(random, "different_task/one")
        same = near[own] & (~far[own] | (random.uniform("different_task/same scene") < material.same_scene_share))
        rows = np.flatnonzero(same), np.flatnonzero(~same)
        parts = (
            _within_scene(material, here, random.take(rows[0]), own[rows[0]]),
            _across_scenes(material, elsewhere, arrives, random.take(rows[1]), own[rows[1]]),
        )
        return PairDraw.merged(rows, parts)

    return draw


def _within_scene(material: Material, pairs: SameScenePairs, random: RowRandom, own: np.ndarray) -> PairDraw:
    catalog, known = material.catalog, material.instructions
    drawn = pairs.draw(random, own)
    other, task = catalog.towards.trajectory[drawn.entry], catalog.task_code[own]
    clips = _laid(material, random, (own, other), (drawn.end, drawn.end_of_other), drawn.whole)
    asked = Asked.own(len(own)), Asked(drawn.entry, known.kind(drawn.entry, task, other))
    return PairDraw.ordered(catalog.text_code[own], clips, drawn.own_is_better, asked)


def _across_scenes(
    material: Material, elsewhere: Order, arrives: np.ndarray, random: RowRandom, own: np.ndarray
) -> PairDraw:
    catalog, known = material.catalog, material.instructions
    other = elsewhere.draw_outside(random, "different_task/other", own)
    whole = random.coin("different_task/whole episodes") & arrives[own] & arrives[other]
    ends = tuple(
        np.where(whole, material.frames[of] - 1, _far_end(material, random, side, of))
        for side, of in (("one", own), ("other", other))
    )
    clips = _laid(material, random, (own, other), ends, whole)
    back = known.relation(catalog.task_code[other], own) == ELSEWHERE  # `own` may do what `other` is asked
    asks_own = random.coin("different_task/instruction") | ~back
    text = catalog.text_code[np.where(asks_own, own, other)]
    worse, task = np.where(asks_own, other, own), catalog.task_code[np.where(asks_own, own, other)]
    relation = np.full(len(own), ELSEWHERE)
    asked = Asked.own(len(own)), Asked(relation, known.kind(relation, task, worse))
    return PairDraw(text, Clips.where(asks_own, *clips), Clips.where(asks_own, *clips[::-1]), asked=asked)


COMBINED: Mapping[str, object] = MappingProxyType({"reverse_progress+rewind": reversed_rewind})
"""What `data.strategies_per_sample=2` adds."""
NEW: Mapping[str, object] = MappingProxyType({"same_task_progress": same_task_progress, "stopped_early": stopped_early})
"""What the original does not have."""
DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "rewind": rewind,
        "suboptimal": suboptimal,
        "different_task": different_task,
        "reverse_progress": reverse_progress,
        **NEW,
    }
)
"""First those of a list in `data.preference_strategy_ratio`, in its order."""


def _episode_pairs(material: Material, *, backwards: bool) -> EpisodePairs:
    original = material.original_mixture and not backwards
    return EpisodePairs(
        material.progress,
        material.several,
        shapes=straight_pairs if backwards else original_rewind_pairs if original else rewind_pairs,
        original=original,
        max_frames=material.max_frames,
        gap=material.gap,
        backwards=backwards,
    )


def _one_episode(material: Material, pairs: EpisodePairs | OppositePairs) -> PairStrategy:
    supported = material.lot(pairs.supported)
    if not len(supported):
        raise Unsupported(
            "needs an episode of known progress (`quality_label` successful, or `progress` recorded) with two clips "
            f"whose ends differ by data.min_progress_gap={material.gap:g} at data.max_frames={material.max_frames}; "
            f"{material.share(material.progress.known)} have known progress, none of them such clips"
        )

    def draw(random: RowRandom) -> PairDraw:
        trajectory = supported.draw(random, "one episode")
        further, less_far = pairs.draw(random, trajectory)
        return PairDraw(material.catalog.text_code[trajectory], further, less_far)

    return draw


def _without_quality_pairs(material: Material, notes: list[str]) -> Unsupported:
    return Unsupported(
        "needs two episodes of one task and frame size that differ in quality label, or in partial success by "
        f"data.partial_success_threshold={material.threshold:g}; of {len(material.catalog)} trajectories none do"
        + "".join(f", and {note}" for note in notes)
    )


def _note(material: Material, pairs: QualityPairs | EveryQualityPair) -> None:
    material.notes.extend(f"pairs by quality: {note}" for note in pairs.notes)


def _pair_to_the_end(material: Material, better: np.ndarray, worse: np.ndarray, skipped: np.ndarray) -> PairDraw:
    """Return clips from the same share of the way to the ends."""
    count = np.minimum(material.max_frames, np.minimum(material.frames[better], material.frames[worse]))
    first, second = (_to_the_end(material, side, skipped, count) for side in (better, worse))
    return PairDraw(material.catalog.text_code[better], first, second)


def _to_the_end(material: Material, trajectory: np.ndarray, skipped: np.ndarray, count: np.ndarray) -> Clips:
    frames = material.frames[trajectory]
    start = np.floor(skipped * (frames - count + 1)).astype(np.int64)
    return evenly(trajectory, start, frames - 1, count, material.max_frames)


def _gets_somewhere(material: Material) -> np.ndarray:
    """Return which trajectories make the gap's progress at a frame that a clip of full length can end at."""

    def far_enough(trajectory: np.ndarray) -> np.ndarray:
        return _far_ends(material, material.progress.rungs(trajectory), trajectory) > 0

    return material.progress.measured(far_enough) & material.several


def _arrives(material: Material) -> np.ndarray:
    """Return which trajectories have the gap's progress at their last frame."""

    def at_the_end(trajectory: np.ndarray) -> np.ndarray:
        last = material.progress.at(trajectory, material.frames[trajectory][:, None] - 1)[:, 0]
        return np.asarray(last >= material.gap)

    return material.progress.measured(at_the_end)


def _far_end(material: Material, random: RowRandom, side: str, trajectory: np.ndarray) -> np.ndarray:
    """Return ends at the gap's progress or more that leave room for a clip of full length."""
    rungs = material.progress.rungs(trajectory)
    return draw_end(random, f"different_task/{side}", rungs, _far_ends(material, rungs, trajectory))


def _far_ends(material: Material, rungs: Rungs, trajectory: np.ndarray) -> UInt64[np.ndarray, " m"]:
    late = rungs.since(np.minimum(material.max_frames, material.frames[trajectory]) - 1)
    return late & rungs.at_least(np.full(len(trajectory), material.gap))


def _laid(
    material: Material,
    random: RowRandom,
    pair: tuple[np.ndarray, np.ndarray],
    ends: tuple[np.ndarray, ...],
    whole: np.ndarray,
) -> tuple[Clips, Clips]:
    """Return forward clips of equally many distinct frames to these ends; whole ones and every other from frame 0."""
    count = np.minimum(material.max_frames, np.minimum(*(material.frames[trajectory] for trajectory in pair)))
    from_first = whole | random.coin("different_task/from the first frame")
    first, second = (
        evenly(
            trajectory,
            np.where(from_first, 0, random.below(f"different_task/start {side}", end - count + 2)),
            end,
            count,
            material.max_frames,
        )
        for side, (trajectory, end) in enumerate(zip(pair, ends, strict=True))
    )
    return first, second
