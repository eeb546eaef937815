"""Which episodes make up a bundle: a pure function of the settings, the same for any number of workers.

Every task has equally many episodes, which take the three qualities in turn; the last quarter of each task is held out
for evaluation and so holds every quality. The seed of an episode's n-th attempt depends on the task, the index and n
only, not on how many episodes there are.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rfm.errors import ConfigError
from rfm.ingest.metaworld.labels import CLEARLY_SHORT, QUALITIES, SUBOPTIMAL_FROM, Quality
from rfm.ingest.metaworld.tasks import Task

TRAIN, EVAL = "metaworld_train", "metaworld_eval"
"""The values of `data_source`."""
ATTEMPTS_PER_VARIANT = 4
"""Attempts after which the next variant has its turn: not every variant can reach every quality in every task."""
MAX_ATTEMPTS = 300
"""Attempts after which a task is faulty: the longest wait seen was under 40."""
_SUBOPTIMAL_BANDS = ((SUBOPTIMAL_FROM, 0.47), (0.47, 0.64), (0.64, CLEARLY_SHORT))
_FAILURE_BAND = (0.0, 0.25)


@dataclass(frozen=True)
class Slot:
    """One episode to be made."""

    task: Task
    index: int
    is_eval: bool
    base_seed: int

    @property
    def id(self) -> str:
        """Name of the episode and of its video."""
        return f"metaworld_{self.task.name.replace('-', '_')}_{self.index:03d}"

    @property
    def turn(self) -> int:
        """Position among the task's episodes of the same quality."""
        return self.index // len(QUALITIES)

    @property
    def quality(self) -> Quality:
        """The quality that this episode must have in the end."""
        return QUALITIES[self.index % len(QUALITIES)]

    @property
    def wording(self) -> str:
        """The instruction; every quality and both splits see all wordings."""
        return self.task.wordings[self.turn % len(self.task.wordings)]

    @property
    def data_source(self) -> str:
        """`TRAIN` or `EVAL`."""
        return EVAL if self.is_eval else TRAIN

    @property
    def band(self) -> tuple[float, float]:
        """Accepted final progress, both ends included: suboptimal ones spread evenly, none just short of success."""
        if self.quality == "suboptimal":
            return _SUBOPTIMAL_BANDS[self.turn % len(_SUBOPTIMAL_BANDS)]
        return (1.0, 1.0) if self.quality == "successful" else _FAILURE_BAND

    def variant_turn(self, attempt: int) -> int:
        """Which variant an attempt uses; tasks start at different ones, so that the held-out quarter sees all."""
        return self.turn + zlib.crc32(self.task.name.encode()) + attempt // ATTEMPTS_PER_VARIANT

    def seed(self, attempt: int) -> int:
        """Seed of an attempt, in [0, 2**32)."""
        key = [self.base_seed, zlib.crc32(self.task.name.encode()), self.index, attempt]
        return int(np.random.SeedSequence(key).generate_state(1)[0])


def plan_slots(tasks: Sequence[Task], episodes_per_task: int, seed: int) -> list[Slot]:
    """All slots, a dozen of each task in turn: an unfinished bundle has some of all, and scenes seldom change."""
    if episodes_per_task < 12 or episodes_per_task % 4:
        raise ConfigError(
            "`episodes_per_task` must be a multiple of 4 and at least 12 (a quarter is held out and holds each of three"
            f" qualities), but is {episodes_per_task}"
        )
    if seed < 0:
        raise ConfigError(f"`seed` must be >= 0, but is {seed}")
    first_eval = episodes_per_task - episodes_per_task // 4
    slots = [Slot(task, index, index >= first_eval, seed) for task in tasks for index in range(episodes_per_task)]
    return sorted(slots, key=lambda slot: slot.index // 12)
