"""Similarity strategies: which of two clips is nearer to a reference, first by task, then by progress at the end.

rewind              a successful reference; two clips of another episode of its task, as in preference `rewind`
suboptimal          a successful reference; two other episodes of its task that differ in quality
paired_human_robot  a human reference; a robot on the same task and a robot on another one

Sources that suit a strategy serve it `data.source_boost` times as often as others: those with failed or suboptimal
episodes `suboptimal`, those with human ones beside their robots `paired_human_robot`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Int64

from rfm.sampling.clips.table import Clips, evenly
from rfm.sampling.material import Asked, Material, PairDraw, PairStrategy, Unsupported
from rfm.sampling.pools import Layout, Order
from rfm.sampling.progress import SUCCESSFUL
from rfm.sampling.random import RowRandom
from rfm.sampling.strategies import preference


def rewind(material: Material) -> PairStrategy:
    """Two clips of one episode beside a successful one of its task: the clip that gets further is nearer."""
    return _with_reference(material, preference.rewind)


def suboptimal(material: Material) -> PairStrategy:
    """Two episodes of different quality beside a successful one: the better is nearer."""
    worse = (material.catalog.quality >= 0) & (material.catalog.quality < SUCCESSFUL)
    return _with_reference(material.boosted(worse), preference.suboptimal)


def paired_human_robot(material: Material) -> PairStrategy:
    """A human shows the task; of two robots, the one on that task is nearer."""
    catalog, known = material.catalog, material.instructions
    people = _References(material, ~catalog.is_robot & material.several)
    robots = material.other_tasks(catalog.is_robot)
    served = catalog.is_robot & material.several & people.serves & (robots.outside(slice(None)) > 0)
    if not served.any():
        raise Unsupported(
            "needs human episodes (is_robot false) of a task that a robot does too, and a second task; "
            f"{material.share(~catalog.is_robot)} are human"
        )
    anchors = material.boosted(~catalog.is_robot).pool(served)

    def draw(random: RowRandom) -> PairDraw:
        better = anchors.draw(random, "paired/robot")
        worse = robots.draw_outside(random, "paired/other", better)
        count = np.minimum(material.max_frames, np.minimum(material.frames[better], material.frames[worse]))
        near, far = (_whole(material, side, count) for side in (better, worse))
        task = catalog.task_code[better]
        relation = known.relation(task, worse)
        asked = Asked.own(len(better)), Asked(relation, known.kind(relation, task, worse))
        return PairDraw(catalog.text_code[better], near, far, people.draw(random, better), asked)

    return draw


DEFAULTS: Mapping[str, Callable[[Material], PairStrategy]] = MappingProxyType(
    {"rewind": rewind, "suboptimal": suboptimal, "paired_human_robot": paired_human_robot}
)
"""In the order of `data.similarity_strategy_ratio`."""


class _References:
    """Whole episodes of the same task as a given one, never that episode itself."""

    def __init__(self, material: Material, members: Bool[np.ndarray, " n"]):
        self._material = material
        task = material.catalog.task_code
        each = np.arange(len(task))
        self._order = Order(Layout.build(task, each, each, (each, each)), members)
        self.serves: Bool[np.ndarray, " n"] = self._order.outside(np.arange(len(task))) > 0

    def draw(self, random: RowRandom, of: Int64[np.ndarray, " m"]) -> Clips:
        chosen = self._order.draw_outside(random, "reference", of)
        return _whole(self._material, chosen, np.minimum(self._material.max_frames, self._material.frames[chosen]))


def _with_reference(material: Material, strategy: Callable[[Material], PairStrategy]) -> PairStrategy:
    references = _References(material, (material.catalog.quality == SUCCESSFUL) & material.several)
    if not references.serves.any():
        raise Unsupported(
            "needs a task with a successful episode beside the compared ones; "
            f"{material.share(material.catalog.quality == SUCCESSFUL)} are successful, each the only one of its task"
        )
    pairs = strategy(material.restricted(references.serves))

    def draw(random: RowRandom) -> PairDraw:
        drawn = pairs(random)
        reference = references.draw(random, drawn.better.trajectory)
        return PairDraw(drawn.text, drawn.better, drawn.worse, reference)

    return draw


def _whole(material: Material, trajectory: np.ndarray, count: np.ndarray) -> Clips:
    last = material.frames[trajectory] - 1
    return evenly(trajectory, np.zeros_like(last), last, count, material.max_frames)
