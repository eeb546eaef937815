"""Evaluation sets: every question of one kind that the trajectories have, or an even part of them.

    prefixes   each episode at growing prefixes from frame 0: does the score rise as the robot gets further?
    ranking    each episode of known quality, whole: do better episodes of a task score higher?
    confusion  each successful episode, whole, with each task's instruction: does the score follow the instruction?
               whose answer is known: 0 for those of another scene, the recorded progress for those of the same
    instruction  each episode with its own instruction and with those of its own scene whose answer is known, whole and
               where the known answers differ most: does the model read the words?
    quality    each pair of whole episodes of one task that differ in quality

    EvalSet(catalog, settings, name, limit, seed).draw(start, stop) -> Block of rows start..stop-1

A row is computed from its number, so nothing is enumerated and 200 million pairs cost no memory. Under a `limit` whole
units are taken (an episode with all its prefixes, a video with all instructions), tasks and qualities in turn, so that
what is compared stays together; the order is a function of the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from jaxtyping import Int64

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.sampling.block import Block, Canvas
from rfm.sampling.clips.table import Clips, evenly
from rfm.sampling.instructions import OWN, UNKNOWN, spans
from rfm.sampling.material import Asked, PairDraw, ScoreDraw
from rfm.sampling.pairs.quality import EveryQualityPair
from rfm.sampling.pools import Steps
from rfm.sampling.progress import SUCCESSFUL, Progress
from rfm.sampling.quotas import Quotas
from rfm.sampling.random import RowRandom, permute
from rfm.sampling.units import even_parts, in_turn, whole_units
from rfm.sampling.usable import Usable
from rfm.sampling.within_scene import WithinScene
from rfm.trajectories.catalog import Catalog

VIDEOS_PER_TASK = 10
CONFUSION_ROWS = 100_000
"""Without a limit, `confusion` takes this many videos of a task and about this many rows, at least a video a task."""


class EvalSet:
    """The questions of one evaluation set; see the module's docstring."""

    def __init__(
        self,
        catalog: Catalog,
        settings: DataConfig,
        name: str,
        *,
        limit: int | None,
        seed: int,
        cutoffs: Mapping[str, float] | None = None,
    ):
        usable = Usable(catalog, max(settings.min_frames_per_trajectory, 2), settings.partial_success_threshold)
        self.usable, self.catalog = usable, usable.catalog
        self.progress = Progress(self.catalog, settings.progress_pred_type, cutoffs)
        self._settings, self._seed = settings, seed
        self._questions = SETS[name](usable, self.progress, settings, limit, seed)
        self.notes = [*usable.notes, *(self._questions.notes if isinstance(self._questions, _Quality) else [])]
        """What of the data is not asked about, and why."""
        self.existing = self._questions.existing
        """How many questions there are; `quotas.total` of them are taken."""
        if not self.existing:
            raise ConfigError(f"`--eval_set {name}` needs {self._questions.needs}, but of these there are none")
        if not self._questions.taken:
            raise ConfigError(
                f"`num_samples` must be at least {self._questions.smallest} for --eval_set {name} "
                f"({self._questions.unit}), but is {limit}"
            )
        self.quotas = Quotas(((self._questions.kind, name),), (self._questions.taken,), seed)

    def draw(self, start: int, stop: int) -> Block:
        """Return the questions of rows `start` to `stop` - 1."""
        canvas = Canvas(stop - start, self._settings.max_frames)
        drawn = self._questions.at(np.arange(start, stop))
        rows = np.arange(stop - start)
        if isinstance(drawn, PairDraw):
            # an even split that nothing else of the row tells
            first = permute(np.arange(start, stop, dtype=np.uint64), self.quotas.total, self._seed, "quality/side") % 2
            canvas.add_pairs(rows, drawn, first == 0, self.progress)
        else:
            canvas.add_scores(rows, drawn, self.progress, self._settings)
        return canvas.finish(np.zeros(stop - start, np.int64))


class _Questions(Protocol):
    """The questions of one set, numbered from 0."""

    kind: str
    needs: str
    unit: str
    smallest: int
    """Rows of the first unit."""
    existing: int
    taken: int

    def at(self, number: Int64[np.ndarray, " m"]) -> PairDraw | ScoreDraw:
        """Return the questions with these numbers, all below `taken`."""


class _Prefixes:
    kind = "progress"
    needs = "episodes of which every frame has a progress (successful, or recorded)"
    unit = "the prefixes of one episode"

    def __init__(self, usable: Usable, progress: Progress, settings: DataConfig, limit: int | None, seed: int):
        catalog = usable.catalog
        self._catalog, self._width = catalog, settings.max_frames
        members = np.flatnonzero(progress.known)
        group = catalog.source_code[members].astype(np.int64) * (int(catalog.task_code.max(initial=0)) + 1)
        group += catalog.task_code[members]
        self._order = members[in_turn(seed, "prefixes", group, catalog.quality[members])]
        self._count = np.minimum(settings.prefixes_per_episode, catalog.num_frames[self._order].astype(np.int64) - 1)
        self._first = np.concatenate([[0], np.cumsum(self._count)])
        self.existing = int(self._first[-1])
        self.smallest = int(self._count[0]) if len(members) else 1
        self.taken = whole_units(self._first, limit)

    def at(self, number: Int64[np.ndarray, " m"]) -> ScoreDraw:
        unit = np.searchsorted(self._first, number, side="right") - 1
        trajectory, last = self._order[unit], self._catalog.num_frames[self._order[unit]].astype(np.int64) - 1
        end = ((number - self._first[unit] + 1) * last * 2 + self._count[unit]) // (2 * self._count[unit])
        clip = evenly(trajectory, end * 0, end, np.minimum(self._width, end + 1), self._width)
        return ScoreDraw(self._catalog.text_code[trajectory], clip)


class _Ranking:
    kind = "progress"
    needs = "tasks with episodes of two qualities whose ends have a progress (successful, recorded, or partial success)"
    unit = "one episode"
    smallest = 1

    def __init__(self, usable: Usable, progress: Progress, settings: DataConfig, limit: int | None, seed: int):
        catalog = usable.catalog
        self._catalog, self._width = catalog, settings.max_frames
        able = (catalog.quality >= 0) & progress.known_at_end
        held = np.zeros((int(catalog.task_code.max(initial=0)) + 1, 3), bool)
        held[catalog.task_code[able], catalog.quality[able]] = True
        members = np.flatnonzero(able & (held.sum(axis=1) >= 2)[catalog.task_code])
        self._order = members[in_turn(seed, "ranking", catalog.task_code[members], catalog.quality[members])]
        self.existing = len(members)
        self.taken = self.existing if limit is None else min(limit, self.existing)

    def at(self, number: Int64[np.ndarray, " m"]) -> ScoreDraw:
        trajectory = self._order[number]
        clip = _whole(self._catalog, trajectory, self._width)
        return ScoreDraw(self._catalog.text_code[trajectory], clip)


class _Confusion:
    kind = "progress"
    needs = "successful episodes of two tasks"
    unit = "a video with every instruction"

    def __init__(self, usable: Usable, progress: Progress, settings: DataConfig, limit: int | None, seed: int):
        catalog = usable.catalog
        self._catalog, self._width = catalog, settings.max_frames
        members = np.flatnonzero(catalog.quality == SUCCESSFUL)
        task = catalog.task_code[members]
        self._tasks, first = np.unique(task, return_index=True)
        self._told = catalog.text_code[members[first]]
        order = in_turn(seed, "confusion", task, task * 0)
        self._order = members[order]
        self._known = usable.instructions
        self._steps = _instructions_left_out(usable, self._order, self._tasks)
        tasks, videos = len(self._tasks), len(members)
        held = tasks - self._steps.width
        held[held < 2] = 0  # a video with its own instruction alone tells nothing
        self._first = np.concatenate([[0], np.cumsum(held)]).astype(np.int64)
        self.existing = int(self._first[-1])
        self.smallest = int(held[held > 0][0]) if self.existing else 1
        if limit is None:
            capped = int(np.minimum(np.bincount(task, minlength=1), VIDEOS_PER_TASK).sum())
            limit = max(
                int(self._first[min(capped, videos)]) if capped * tasks <= CONFUSION_ROWS else CONFUSION_ROWS,
                int(self._first[min(tasks, videos)]),
            )
        self.taken = whole_units(self._first, limit)

    def at(self, number: Int64[np.ndarray, " m"]) -> ScoreDraw:
        video = np.searchsorted(self._first, number, side="right") - 1
        told = self._steps.over(video, number - self._first[video])
        trajectory = self._order[video]
        task = self._tasks[told]
        relation = self._known.relation(task, trajectory)
        text = np.where(relation == OWN, self._catalog.text_code[trajectory], self._told[told])
        asked = Asked(relation, self._known.kind(relation, task, trajectory))
        return ScoreDraw(text, _whole(self._catalog, trajectory, self._width), asked)


def _instructions_left_out(usable: Usable, videos: Int64[np.ndarray, " v"], tasks: Int64[np.ndarray, " t"]) -> Steps:
    """Return the places among `tasks` of those whose answer is not known of each video.

    Only tasks of families that occur in a video's place or are barred for it are looked at.
    """
    known = usable.instructions
    video, family = known.may_fit(videos)
    of_task = known.family_of_task[tasks]
    by_family = np.argsort(of_task, kind="stable")
    low, high = (np.searchsorted(of_task[by_family], family, side) for side in ("left", "right"))
    pair, place = spans(low, high)
    video, task = video[pair], by_family[place]
    unknown = known.relation(tasks[task], videos[video]) == UNKNOWN
    return Steps(len(videos), video[unknown], task[unknown], np.ones(int(unknown.sum()), np.int64))


class _Instruction:
    kind = "progress"
    needs = (
        "episodes whose progress is known both for their own and for another task of their scene: `progress_by_task` "
        "records it, `rfm ingest --opposites` derives it for tasks that undo each other, `scene_id` tells scenes apart"
    )
    unit = "the questions about one video"

    def __init__(self, usable: Usable, progress: Progress, settings: DataConfig, limit: int | None, seed: int):
        catalog = usable.catalog
        self._catalog, self._width, self._known = catalog, settings.max_frames, usable.instructions
        asked = WithinScene.of(usable, progress, settings.min_progress_gap)
        members, begin, count = np.unique(asked.trajectory, return_index=True, return_counts=True)
        order = in_turn(seed, "instruction", catalog.task_code[members].astype(np.int64), catalog.quality[members])
        first = np.concatenate([[0], np.cumsum(count[order])]).astype(np.int64)
        at = np.arange(first[-1]) + np.repeat(begin[order] - first[:-1], count[order])
        self._asked = WithinScene(asked.trajectory[at], asked.end[at], asked.relation[at])
        self._told = np.zeros(len(catalog.tasks), np.int32)
        self._told[catalog.task_code[::-1]] = catalog.text_code[::-1]
        self.existing = int(first[-1])
        self.smallest = int(first[1]) if len(members) else 1
        self.taken = whole_units(first, limit)

    def at(self, number: Int64[np.ndarray, " m"]) -> ScoreDraw:
        trajectory, end = self._asked.trajectory[number], self._asked.end[number]
        relation = self._asked.relation[number]
        task = self._catalog.task_code[trajectory]
        other = relation != OWN
        task[other] = self._catalog.towards.task[relation[other]]
        text = np.where(other, self._told[task], self._catalog.text_code[trajectory])
        clip = evenly(trajectory, end * 0, end, np.minimum(self._width, end + 1), self._width)
        return ScoreDraw(text, clip, Asked(relation, self._known.kind(relation, task, trajectory)))


class _Quality:
    kind = "preference"
    needs = (
        "two episodes of one task and frame size that differ in quality label, or in partial success by "
        "data.partial_success_threshold"
    )
    unit = "one pair"
    smallest = 1

    def __init__(self, usable: Usable, progress: Progress, settings: DataConfig, limit: int | None, seed: int):
        catalog = usable.catalog
        self._catalog, self._width = catalog, settings.max_frames
        eligible = np.ones(len(catalog), bool)
        self._pairs = EveryQualityPair(catalog, eligible, settings.partial_success_threshold)
        self.notes = self._pairs.notes
        self._held = np.diff(self._pairs.starts)
        self.existing = int(self._pairs.starts[-1])
        order = np.argsort(RowRandom(seed, np.arange(len(self._held), dtype=np.uint64)).words("quality/tasks"))
        self._parts = even_parts(self._held, limit, order)
        self._first = np.concatenate([[0], np.cumsum(self._parts)]).astype(np.int64)
        self.taken = int(self._first[-1])

    def at(self, number: Int64[np.ndarray, " m"]) -> PairDraw:
        task = np.searchsorted(self._first, number, side="right") - 1
        held, part = self._held[task], self._parts[task]
        step = (number - self._first[task]) * held // part  # evenly over the task's pairs
        better, worse = self._pairs[self._pairs.starts[task] + step]
        frames = self._catalog.num_frames.astype(np.int64)
        count = np.minimum(self._width, np.minimum(frames[better], frames[worse]))
        first, second = (evenly(side, side * 0, frames[side] - 1, count, self._width) for side in (better, worse))
        return PairDraw(self._catalog.text_code[better], first, second)


SETS: Mapping[str, Callable[[Usable, Progress, DataConfig, int | None, int], _Questions]] = MappingProxyType(
    {
        "prefixes": _Prefixes,
        "ranking": _Ranking,
        "confusion": _Confusion,
        "instruction": _Instruction,
        "quality": _Quality,
    }
)
"""By the names that `--eval_set` takes and `data_gen_strategy` carries."""


def _whole(catalog: Catalog, trajectory: Int64[np.ndarray, " m"], width: int) -> Clips:
    frames = catalog.num_frames[trajectory].astype(np.int64)
    return evenly(trajectory, frames * 0, frames - 1, np.minimum(width, frames), width)
