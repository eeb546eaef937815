"""Progress of a dataset's episodes, looked up in the files that the jobs wrote: one of them in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32

from rfm.scoring.relabelling.jobs import Job, Told, read_part


class Scores:
    """What came of the episodes of all jobs."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._places = {
            one.number: (number, place) for number, job in enumerate(jobs) for place, one in enumerate(job.episodes)
        }
        self._held: tuple[int, list[Told]] = (-1, [])

    def __iter__(self) -> Iterator[Told]:
        """What came of each episode, in the order of the dataset."""
        for number in range(len(self._jobs)):
            yield from self._part(number)

    def of(self, number: int) -> Float32[np.ndarray, " t"] | None:
        """Return the progress at each frame of an episode; None where there is none."""
        if number not in self._places:
            return None
        part, place = self._places[number]
        return self._part(part)[place].values

    def _part(self, number: int) -> list[Told]:
        if self._held[0] != number:
            self._held = (number, read_part(self._jobs[number].part))
        return self._held[1]


def rewards(progress: Float32[np.ndarray, " t"]) -> Float32[np.ndarray, " t"]:
    """Return what each frame's action gained: the next frame's progress less its own, and 0 for the last.

    They sum to the progress at the end less that at the beginning.
    """
    steps = np.diff(progress.astype(np.float64), append=np.float64(progress[-1]))
    return steps.astype(np.float32)
