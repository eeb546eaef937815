"""From episodes of any source to processed datasets: the part that all adapters share.

In: `Episode`s; their frames are read when their turn comes, maybe in another process. Out: one .npz an episode and one
dataset a `data_source`. Frames come first, the rows last, and only then does a dataset count as complete. Until then
`unfinished.json` in its folder holds a hash of options and sources: a run that was killed goes on where it stopped when
the hash is the same, and starts over when it is not. The bytes depend on episodes and options alone, not on workers or
interruptions. Episodes whose frames can't be read, that their adapter found faulty, or whose id another one has taken,
go to `rejected.jsonl` with the reason; the others are kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import exclusive
from rfm.files.staging import remove_leftovers, staged_file
from rfm.frames.npz import npz_frames_shape, read_beside, write_npz
from rfm.ingest.cutoffs import suggest_cutoffs
from rfm.ingest.episode import Episode, IngestOptions, Unusable
from rfm.ingest.executors import EXECUTORS
from rfm.ingest.reading import rejected
from rfm.ingest.vacancy import UNFINISHED, check_ours, check_vacant
from rfm.trajectories.record import Trajectory, dataset_folder, value_faults
from rfm.trajectories.store import PROCESSED, write_processed_dataset

logger = logging.getLogger(__name__)

REJECTED = "rejected.jsonl"
_INDICES, _TIMES = "source_indices", "source_times"
"""Beside the frames in an .npz: their places in the recording, and their times as shares of it."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 120
_MOST_LISTED = 10


class Rejection(NamedTuple):
    """An episode left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest did. `rejected` is empty if every episode came in."""

    output: Path | str
    """The datasets root; a URL where it is remote."""
    keys: tuple[str, ...]
    """The dataset keys written."""
    num_trajectories: int
    num_frames: int
    rejected: tuple[Rejection, ...]

    def __str__(self) -> str:
        datasets = ", ".join(self.keys) or "no dataset"
        listed = "".join(f"\n  {rejection.id}: {rejection.reason}" for rejection in self.rejected[:_MOST_LISTED])
        return (
            f"{self.num_trajectories} trajectories with {self.num_frames} frames in {datasets} under {self.output}; "
            f"{len(self.rejected)} rejected{listed}"
        )


class _Stored(NamedTuple):
    """What was written of an episode."""

    shape: tuple[int, int, int, int]
    indices: tuple[int, ...]
    """The place of each frame in the recording."""
    times: tuple[float, ...] | None


class _Outcome(NamedTuple):
    """What was stored, or the reason why nothing was; what the source has to say about it."""

    stored: _Stored | None
    reason: str = ""
    notes: tuple[str, ...] = ()


class _Job(NamedTuple):
    episode: Episode
    path: Path
    options: IngestOptions


def ingest(
    episodes: Iterable[Episode],
    output: Path,
    options: IngestOptions,
    deliver: Callable[[Sequence[str]], None] | None = None,
) -> IngestSummary:
    """Write the episodes' datasets under `output`; see the module for what is left where.

    `deliver` gets the names of their folders when all are written: only after it do they count as finished.

    All episodes are listed first, without their frames. Raises ConfigError, before any work, where a dataset is
    complete already and `overwrite` is not set; whatever the adapter raises while it lists comes before any work too.
    """
    listed = [_checked(episode) for episode in episodes]
    distinct, repeated = _distinct(listed)
    groups = _group(distinct, repeated)
    trajectories: list[Trajectory] = []
    rejected: list[Rejection] = []
    with ExitStack() as stack:
        for name in groups:
            (output / name).mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive(output / name, wait=False))
            check_ours(output / name)
            if not options.overwrite:
                check_vacant(output / name)
        for name, members in groups.items():
            _prepare(output / name, _fingerprint(members, options))
        by_id = _outcomes(distinct, output, options)
        for name, members in groups.items():
            rows, failed = _rows(members, by_id)
            failed += [_repetition(episode) for episode in repeated if dataset_folder(episode.data_source) == name]
            _finish(output / name, rows, failed)
            trajectories += rows
            rejected += failed
        if deliver is not None:
            deliver(list(groups))
        for name in groups:
            (output / name / UNFINISHED).unlink()
    keys = tuple(dict.fromkeys(row.data_source for row in trajectories))
    return IngestSummary(output, keys, len(trajectories), sum(row.num_frames for row in trajectories), tuple(rejected))


def _checked(episode: Episode) -> Episode:
    """The episode, or a rejection in its place where its values can't be those of a trajectory."""
    if isinstance(episode.source, Unusable) or not (faults := list(value_faults(episode))):
        return episode
    return rejected(_as_text(episode.id), _as_text(episode.data_source), "; ".join(faults))


def _as_text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def _distinct(episodes: Sequence[Episode]) -> tuple[list[Episode], list[Episode]]:
    """The first episode of each id, and those whose id was taken."""
    taken: set[str] = set()
    distinct: list[Episode] = []
    repeated: list[Episode] = []
    for episode in episodes:
        (repeated if episode.id in taken else distinct).append(episode)
        taken.add(episode.id)
    return distinct, repeated


def _repetition(episode: Episode) -> Rejection:
    return Rejection(episode.id, f"`id` must differ in every episode of an ingest, but `{episode.id}` repeats")


def _group(distinct: Sequence[Episode], repeated: Sequence[Episode]) -> dict[str, list[Episode]]:
    """Distinct episodes by dataset folder, in order of appearance; a folder of repeated ones alone has no members."""
    sources: dict[str, str] = {}
    for episode in (*distinct, *repeated):
        source = sources.setdefault(dataset_folder(episode.data_source), episode.data_source)
        if source != episode.data_source:
            raise ConfigError(
                f"each `data_source` must have a folder of its own, but `{source}` and "
                f"`{episode.data_source}` share `{dataset_folder(episode.data_source)}`: rename one"
            )
    groups: dict[str, list[Episode]] = {folder: [] for folder in sources}
    for episode in distinct:
        groups[dataset_folder(episode.data_source)].append(episode)
    return groups


def _frames_path(episode: Episode) -> str:
    """The .npz relative to the root; an id that is no safe file name is made one, and marked with its hash."""
    name = _UNSAFE.sub("_", episode.id)[:_LONGEST_NAME]
    if name != episode.id:
        name = f"{name}-{hashlib.sha256(episode.id.encode()).hexdigest()[:10]}"
    return f"{dataset_folder(episode.data_source)}/frames/trajectory_{name}.npz"


def _fingerprint(episodes: Iterable[Episode], options: IngestOptions) -> str:
    sizes = (options.height, options.width, options.shortest_side)
    digest = hashlib.sha256(repr((options.max_frames, sizes, options.form)).encode())
    for episode in episodes:
        count = None if episode.progress is None else len(episode.progress)
        digest.update(repr((episode.id, count, episode.source.identity())).encode())
    return digest.hexdigest()


def _prepare(folder: Path, fingerprint: str) -> None:
    """Keep the frames of an unfinished run of the same sources and options; clear away anything else."""
    marker = folder / UNFINISHED
    frames = folder / "frames"
    if marker.is_file() and marker.read_text(encoding="utf-8") == _marker_text(fingerprint):
        frames.mkdir(exist_ok=True)
        remove_leftovers(frames)
        logger.info("going on with the unfinished ingest in %s", folder)
    else:
        for name in (PROCESSED, "frames"):  # the marker comes last: it vouches for what lies in `frames`
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        frames.mkdir()
        with staged_file(marker) as staged:
            staged.write_text(_marker_text(fingerprint), encoding="utf-8")
    remove_leftovers(folder)


def _marker_text(fingerprint: str) -> str:
    return json.dumps({"sources_and_options": fingerprint}) + "\n"


def _outcomes(episodes: Sequence[Episode], output: Path, options: IngestOptions) -> dict[str, _Outcome]:
    """The outcome of each episode by its id, with a progress bar."""
    jobs = (_Job(episode, output / _frames_path(episode), options) for episode in episodes)
    results = EXECUTORS[options.executor](_run, jobs, options.num_workers)
    outcomes = {}
    for number, outcome in tracked(results, "ingest", len(episodes)):
        episode = episodes[number]
        if outcome.stored is not None and not (output / _frames_path(episode)).is_file():
            raise ConfigError(
                f"--output must be a folder that all machines share, but the frames of `{episode.id}` were written on "
                f"another machine and are not in {output} here"
            )
        outcomes[episode.id] = outcome
    _say([(identity, note) for identity, outcome in outcomes.items() for note in outcome.notes])
    return outcomes


def _say(notes: Sequence[tuple[str, str]]) -> None:
    for identity, note in notes[:_MOST_LISTED]:
        logger.warning("%s: %s", identity, note)
    if len(notes) > _MOST_LISTED:
        logger.warning("and the like of %d more", len(notes) - _MOST_LISTED)


def _run(job: _Job) -> _Outcome:
    """Write the episode's .npz unless it is there already."""
    progress = job.episode.progress
    if not job.path.parent.is_dir():
        raise ConfigError(f"--output must be a folder that all machines share, but {job.path.parent} is not there")
    if job.path.is_file() and job.path.stat().st_size:
        return _Outcome(_stored(job.path))
    try:
        video = job.episode.source.read(job.options)
        if progress is not None and len(progress) != video.total:
            raise DataError(
                f"`progress` must have one value a frame of the video ({video.total}), but has {len(progress)}"
            )
    except DataError as error:
        return _Outcome(None, str(error))
    frames = job.options.shortened(video.frames)
    times = {} if video.times is None else {_TIMES: video.times}
    write_npz(job.path, frames, job.options.form, {_INDICES: video.indices, **times})
    return _Outcome(_stored(job.path), notes=video.notes)


def _stored(path: Path) -> _Stored:
    """What an .npz of this ingest holds, be it of this run or of one that was killed."""
    indices, times = read_beside(path, _INDICES), read_beside(path, _TIMES)
    if indices is None:
        raise DataError(f"{path} must hold `{_INDICES}`, as every ingest writes it, but does not: use --overwrite")
    return _Stored(npz_frames_shape(path), tuple(indices.tolist()), None if times is None else tuple(times.tolist()))


def _rows(episodes: Sequence[Episode], by_id: dict[str, _Outcome]) -> tuple[list[Trajectory], list[Rejection]]:
    rows, rejected = [], []
    for episode in episodes:
        outcome = by_id[episode.id]
        if outcome.stored is None:
            rejected.append(Rejection(episode.id, outcome.reason))
        else:
            rows.append(_trajectory(episode, outcome.stored))
    return rows, rejected


def _trajectory(episode: Episode, stored: _Stored) -> Trajectory:
    progress = episode.progress
    if progress is not None:
        progress = tuple(progress[index] for index in stored.indices)
    return Trajectory(
        id=episode.id,
        task=episode.task,
        data_source=episode.data_source,
        frames=_frames_path(episode),
        frames_shape=stored.shape,
        num_frames=stored.shape[0],
        quality_label=episode.quality_label,
        is_robot=episode.is_robot,
        partial_success=episode.partial_success,
        task_id=episode.task_id,
        progress=progress,
        frame_times=stored.times,
        scene_id=episode.scene_id,
        split=episode.split,
        preference_group_id=episode.preference_group_id,
        preference_rank=episode.preference_rank,
    )


def _finish(folder: Path, rows: Sequence[Trajectory], rejected: Sequence[Rejection]) -> None:
    """The rejections, then the rows; a dataset without a single row is not written."""
    (folder / REJECTED).unlink(missing_ok=True)
    if rejected:
        lines = [json.dumps(rejection._asdict(), ensure_ascii=False) for rejection in rejected]
        (folder / REJECTED).write_text("\n".join(lines) + "\n", encoding="utf-8")
        logger.warning("%d episodes rejected, see %s", len(rejected), folder / REJECTED)
    if rows:
        write_processed_dataset(folder, rows, suggest_cutoffs(folder.parent, rows))
