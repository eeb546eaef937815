"""Progress towards other tasks than the episode's own: what was recorded, and the opposites that the user names.

The progress towards an opposite is 1 less the episode's own: the recorded one, or for a success without it time, as
sampling takes it, (x + 1) / n for the frame at x = t (n - 1) of n. What was recorded for that task stays. Of other
episodes nothing is known, which is said.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rfm.ingest.episode import Episode
from rfm.ingest.stored import Stored
from rfm.trajectories.other_tasks import ProgressByTask, at_frames
from rfm.trajectories.record import Trajectory, canonical_quality, normalise_task

logger = logging.getLogger(__name__)


def progress_by_task(episode: Episode, stored: Stored, progress: tuple[float, ...] | None) -> ProgressByTask | None:
    """Progress towards other tasks at the kept frames; `progress` is that of the episode's own task there."""
    recorded = at_frames(episode.progress_by_task, stored.indices)
    taken = {normalise_task(task) for task, _ in recorded or ()}
    own = _by_time(episode, stored) if progress is None else progress
    if own is None:
        return recorded
    undone = tuple(1 - share for share in own)
    added = tuple((task, undone) for task in episode.opposites if normalise_task(task) not in taken)
    return (*(recorded or ()), *added) or recorded


def warn_of_silent(episodes: Sequence[Episode], rows: Sequence[Trajectory]) -> None:
    """Tell how many rows say nothing of the tasks that were named as their opposites."""
    wanted = {episode.id: episode.opposites for episode in episodes if episode.opposites}
    known = {row.id: {task for task, _ in row.progress_by_task or ()} for row in rows if row.id in wanted}
    silent = [name for name, tasks in known.items() if not tasks & set(wanted[name])]
    if silent:
        logger.warning(
            "%d of %d episodes say nothing of the opposite of their task, the first `%s`: they are no successes, and "
            "their progress was not recorded",
            len(silent),
            len(known),
            silent[0],
        )


def _by_time(episode: Episode, stored: Stored) -> tuple[float, ...] | None:
    if canonical_quality(episode.quality_label, f"episode `{episode.id}`") != "successful":
        return None
    count = stored.shape[0]
    places = range(count) if stored.times is None else [time * (count - 1) for time in stored.times]
    return tuple((place + 1) / count for place in places)
