"""Preference strategies: which of two clips made more progress on the instruction.

    rewind            two clips of one episode, at least one of which goes past its end and back to it
    reverse_progress  two clips of one episode, both going back from the same start; the chosen one undoes less
    suboptimal        two episodes of one task, shown to their ends; the chosen one did better
    different_task    two episodes of different tasks; the instruction is the chosen one's
    reverse_progress+rewind  two clips of one episode that go back, at least one past its end and forward to it
    quality_preference  suboptimal over whole episodes, for evaluation

With `data.mixture=original` rewind sets a clip that goes straight to its end, always the chosen one, against one that
turns back, and reverse_progress a forward clip, always the chosen one, against a backward one.

Why a pair of one episode is drawn as it is: docs/generation.md, "No shortcut through the shape".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rfm.sampling.clips.ends import draw_end
from rfm.sampling.clips.shapes import original_rewind_pairs, rewind_pairs, straight_pairs
from rfm.sampling.clips.table import Clips, evenly
from rfm.sampling.material import Material, PairDraw, PairStrategy, Unsupported
from rfm.sampling.pairs.episode import EpisodePairs
from rfm.sampling.pairs.opposite import OppositePairs
from rfm.sampling.pairs.quality import QualityPairs
from rfm.sampling.random import RowRandom


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


def suboptimal(material: Material) -> PairStrategy:
    """Two episodes of one task to their ends, from the same share of the way; the better one is chosen."""
    pairs = QualityPairs(material.catalog, material.several, material.threshold)
    anchors = material.lot(pairs.supported)
    if not len(anchors):
        raise Unsupported(
            "needs two episodes of one task that differ in quality label, or in partial success by "
            f"data.partial_success_threshold={material.threshold:g}; of {len(material.catalog)} trajectories none do"
        )

    def draw(random: RowRandom) -> PairDraw:
        better, worse = pairs.draw(random, anchors.draw(random, "quality/anchor"))
        skipped = np.zeros(len(better)) if material.whole_episodes else random.uniform("suboptimal/start") / 2
        count = np.minimum(material.max_frames, np.minimum(material.frames[better], material.frames[worse]))
        clips = (_to_the_end(material, side, skipped, count) for side in (better, worse))
        return PairDraw(material.catalog.text_code[better], *clips)

    return draw


def different_task(material: Material) -> PairStrategy:
    """Forward clips of two tasks that both get somewhere; a coin says whose instruction it is."""
    eligible = _gets_somewhere(material)
    pool = material.pool(eligible)
    if not (pool.has_other_task() & eligible).any():
        raise Unsupported(
            "needs episodes of two tasks with known progress of at least data.min_progress_gap="
            f"{material.gap:g}; {material.share(eligible)} have it, all of one task or none"
        )
    anchors = material.pool(eligible & pool.has_other_task())

    def draw(random: RowRandom) -> PairDraw:
        one = anchors.draw(random, "different_task/one")
        other = pool.draw_other_task(random, "different_task/other", one, np.ones(len(one), bool))
        count = np.minimum(material.max_frames, np.minimum(material.frames[one], material.frames[other]))
        clip = _forward(material, random, "one", one, count)
        clip_of_other = _forward(material, random, "other", other, count)
        coin = random.coin("different_task/instruction")
        # `other` never has a score for the instruction of `one`; the other way round it may
        coin |= material.usable.barred.hold(material.catalog.task_code[other], one)
        text = material.catalog.text_code[np.where(coin, one, other)]
        return PairDraw(text, Clips.where(coin, clip, clip_of_other), Clips.where(coin, clip_of_other, clip))

    return draw


COMBINED: Mapping[str, object] = MappingProxyType({"reverse_progress+rewind": reversed_rewind})
"""What `data.strategies_per_sample=2` adds."""
NEW: Mapping[str, object] = MappingProxyType({})
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
        shapes_by_coin=not original,
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
            f"{material.share(material.progress.known)} have known progress"
        )

    def draw(random: RowRandom) -> PairDraw:
        trajectory = supported.draw(random, "one episode")
        further, less_far = pairs.draw(random, trajectory)
        return PairDraw(material.catalog.text_code[trajectory], further, less_far)

    return draw


def _to_the_end(material: Material, trajectory: np.ndarray, skipped: np.ndarray, count: np.ndarray) -> Clips:
    frames = material.frames[trajectory]
    start = np.floor(skipped * (frames - count + 1)).astype(np.int64)
    return evenly(trajectory, start, frames - 1, count, material.max_frames)


def _gets_somewhere(material: Material) -> np.ndarray:
    """Return which trajectories make the gap's progress at a frame that a clip of full length can end at."""

    def far_enough(trajectory: np.ndarray) -> np.ndarray:
        curves = material.progress.curves(trajectory)
        late = curves.frames >= np.minimum(material.max_frames, material.frames[trajectory])[:, None] - 1
        far = np.nan_to_num(curves.progress, nan=-1.0) >= material.gap
        return (late & far).any(axis=1)

    return material.progress.measured(far_enough) & material.several


def _forward(material: Material, random: RowRandom, side: str, trajectory: np.ndarray, count: np.ndarray) -> Clips:
    """Return forward clips of `count` distinct frames that end at the gap's progress or more."""
    curves = material.progress.curves(trajectory)
    far = np.nan_to_num(curves.progress, nan=-1.0) >= material.gap
    end = draw_end(random, f"different_task/{side}", curves, far & (curves.frames >= count[:, None] - 1))
    start = random.below(f"different_task/{side}/start", end - count + 2)
    return evenly(trajectory, start, end, count, material.max_frames)
