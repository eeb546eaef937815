"""Attempts of mixed quality at a task, and what a reward model says of each: of the bundle, or simulated anew.

Those of the bundle are its training side, judged by their videos. Fresh ones are made as the bundle's are, from other
seeds, and only the frames that the model is shown are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from rfm.ingest.bundled import bundled_videos
from rfm.ingest.metaworld.bundle import read_manifest
from rfm.ingest.metaworld.cameras import Filming
from rfm.ingest.metaworld.generate import find_episode
from rfm.ingest.metaworld.labels import Quality
from rfm.ingest.metaworld.render import render
from rfm.ingest.metaworld.slots import TRAIN, plan_slots
from rfm.ingest.metaworld.tasks import TASKS
from rfm.scoring.reward_model import RewardModel

_PLANNED = 40
"""Episodes of a task, as in the bundle; a quarter of them is held out."""
_FRESH_SEED = 11
"""Of no set that `metaworld-small` was made with."""


@dataclass(frozen=True)
class Attempt:
    """A recorded episode: `rfm.ingest.metaworld.simulate` makes it again from task, quality, policy and seed."""

    task: str
    quality: Quality
    policy: str
    seed: int
    true: float
    """How far it got: the simulator's progress at its end, in [0, 1]."""
    said: float
    """What the reward model says of that."""


def attempts_of(ground: str, task: str, count: int, model: RewardModel) -> list[Attempt]:
    """Return the first attempts at a task: a third successes, a third half done, a third failures, in turn."""
    return list(islice(_MADE[ground](task, model), count))


def _bundled(task: str, model: RewardModel) -> Iterator[Attempt]:
    videos = bundled_videos()
    for row in read_manifest(videos):
        if row["task_id"] == task and row["data_source"] == TRAIN:
            said = model.progress(videos / row["path"], row["task"]).expected
            yield Attempt(task, row["quality_label"], row["policy"], row["seed"], row["partial_success"], said)


def _fresh(task: str, model: RewardModel) -> Iterator[Attempt]:
    filming = Filming(num_frames=model.max_frames)
    for slot in sorted(plan_slots((TASKS[task],), _PLANNED, _FRESH_SEED, filming=filming), key=lambda one: one.index):
        if not slot.is_eval:
            episode = find_episode(slot)
            said = model.progress(render(episode, slot.camera, slot.size), slot.wording).expected
            true = float(episode.progress[-1])
            yield Attempt(task, episode.quality, episode.variant, episode.seed, true, said)


_MADE: Mapping[str, Callable[[str, RewardModel], Iterator[Attempt]]] = {"bundled": _bundled, "fresh": _fresh}
GROUNDS = tuple(_MADE)
"""Whose attempts they are."""
