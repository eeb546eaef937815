"""Which episodes make up a bundle: a pure function of the settings, the same for any number of workers.

Every task has equally many episodes, which take the three qualities in turn; the last quarter of each task is held out
for evaluation and so holds every quality. The seed of an episode's n-th attempt depends on the task, the index and n
only, not on how many episodes there are.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rfm.errors import ConfigError
from rfm.ingest.metaworld.cameras import BUNDLED, Filming
from rfm.ingest.metaworld.labels import CLEARLY_SHORT, QUALITIES, SUBOPTIMAL_FROM, Quality
from rfm.ingest.metaworld.task import Task
from rfm.ingest.metaworld.wordings import wording, wordings_of

TRAIN, EVAL = "metaworld_train", "metaworld_eval"
"""The values of `data_source`."""
ATTEMPTS_PER_VARIANT = 4
"""Attempts after which the next variant has its turn: not every variant can reach every quality in every task."""
MAX_ATTEMPTS = 300
"""Attempts after which a task is faulty: the longest wait seen was under 40."""
_SUBOPTIMAL_BANDS = ((SUBOPTIMAL_FROM, 0.47), (0.47, 0.64), (0.64, CLEARLY_SHORT))
_FAILURE_BAND = (0.0, 0.25)
_FILMING = 1_000_000
"""Beyond all attempts, so that drawing camera and size takes nothing from an episode's own numbers."""
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Slot:
    """One episode to be made."""

    task: Task
    index: int
    is_eval: bool
    base_seed: int
    filming: Filming = BUNDLED
    wordings: str = "usual"
    """Which of the task's instructions; see `wordings.WORDINGS`."""
    source: str | None = None
    """The `data_source` of all episodes; None for `TRAIN` and `EVAL`."""

    @property
    def id(self) -> str:
        """Name of the episode and of its video."""
        return f"{self.source or 'metaworld'}_{self.task.name.replace('-', '_')}_{self.index:03d}"

    @property
    def camera(self) -> str:
        """From where it is filmed, a name of `cameras.CAMERAS`."""
        return self._camera_and_size[0]

    @property
    def size(self) -> int:
        """Height and width of its frames in pixels."""
        return self._camera_and_size[1]

    @property
    def _camera_and_size(self) -> tuple[str, int]:
        return self.filming.drawn((self.base_seed, zlib.crc32(self.task.name.encode()), self.index, _FILMING))

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
        return wording(self.task, self.wordings, self.turn)

    @property
    def data_source(self) -> str:
        """The set's own source, or `TRAIN` or `EVAL`."""
        return self.source or (EVAL if self.is_eval else TRAIN)

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


def plan_slots(
    tasks: Sequence[Task],
    episodes_per_task: int,
    seed: int,
    *,
    filming: Filming = BUNDLED,
    wordings: str = "usual",
    source: str | None = None,
) -> list[Slot]:
    """All slots, a dozen of each task in turn, those of one size together: an unfinished bundle has some of all, and
    scenes and sizes seldom change.
    """
    if episodes_per_task < 12 or episodes_per_task % 4:
        raise ConfigError(
            "`episodes_per_task` must be a multiple of 4 and at least 12 (a quarter is held out and holds each of three"
            f" qualities), but is {episodes_per_task}"
        )
    if seed < 0:
        raise ConfigError(f"`seed` must be >= 0, but is {seed}")
    if source is not None and not _SOURCE.fullmatch(source):
        raise ConfigError(f"`data_source` must be made of a-z, 0-9 and _, a letter first, but is {source!r}")
    for task in tasks:
        wordings_of(task, wordings)
    first_eval = episodes_per_task - episodes_per_task // 4
    slots = [
        Slot(task, index, index >= first_eval, seed, filming, wordings, source)
        for task in tasks
        for index in range(episodes_per_task)
    ]
    order = {task.name: at for at, task in enumerate(tasks)}
    return sorted(slots, key=lambda slot: (slot.index // 12, order[slot.task.name], slot.size))
