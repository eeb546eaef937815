"""From episodes of any source to processed datasets: the part that all adapters share.

In: `Episode`s; their frames are read when their turn comes, maybe in another process. Out: one .npz an episode and one
dataset a `data_source`. Frames come first, the rows last, in a folder that gets its place when all is there; until then
what was there before is as it was. `made_from.json` in it holds a hash of options, sources and rows: a run that was
killed goes on where it stopped when the hash is the same, starts over when it is not, and has nothing to do when the
dataset is there. The bytes depend on episodes and options alone, not on workers or interruptions. Episodes whose frames
can't be read, that their adapter found faulty, or whose id another one has taken, go to `rejected.jsonl` with the
reason; the others are kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import Workplace, replaced
from rfm.ingest.cutoffs import suggest_cutoffs
from rfm.ingest.episode import Episode, IngestOptions, Unusable
from rfm.ingest.executors import EXECUTORS
from rfm.ingest.reading import rejected
from rfm.ingest.rules.scenes import scene_of
from rfm.ingest.same_frames import first_alike
from rfm.ingest.stored import Job, Outcome, Stored, file_name, store
from rfm.ingest.towards import progress_by_task, warn_of_silent
from rfm.ingest.vacancy import REJECTED, TRAJECTORIES, is_whole, may_replace, read_rejected, write_rejected
from rfm.trajectories.record import Trajectory, dataset_folder, value_faults
from rfm.trajectories.store import PROCESSED, read_columns, write_processed_dataset

logger = logging.getLogger(__name__)

_MOST_LISTED = 10
_DETERMINING = ("max_frames", "height", "width", "shortest_side", "form", "scene")
"""Options that make another dataset."""


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


def ingest(
    episodes: Iterable[Episode],
    output: Path,
    options: IngestOptions,
    deliver: Callable[[Mapping[str, Path]], None] | None = None,
) -> IngestSummary:
    """Write the episodes' datasets under `output`; see the module for what is left where.

    `deliver` gets the folders of all datasets by their names when they are written: only after it do they appear.

    All episodes are listed first, without their frames. Raises ConfigError, before any work, where a dataset is
    complete already and `overwrite` is not set; whatever the adapter raises while it lists comes before any work too.
    """
    listed = [_checked(episode) for episode in episodes]
    distinct, repeated = _distinct(listed)
    groups = _group(distinct, repeated)
    again = {name: [one for one in repeated if dataset_folder(one.data_source) == name] for name in groups}
    with ExitStack() as stack:
        works = {
            name: stack.enter_context(_workplace(output / name, [*members, *again[name]], options))
            for name, members in groups.items()
        }
        folders = {name: work.folder / "frames" for name, work in works.items() if not work.complete}
        wanted = [one for one in distinct if dataset_folder(one.data_source) in folders]
        by_id = _outcomes(wanted, folders, options)
        for name in folders:
            rows, failed = _rows(groups[name], by_id, folders[name], options)
            about = _made_with([one for one in groups[name] if by_id[one.id].stored is not None], options)
            _finish(works[name], rows, [*failed, *map(_repetition, again[name])], about)
        if deliver is not None:
            deliver({name: work.folder for name, work in works.items()})
        for name in folders:
            works[name].publish()
    return _summary(output, list(groups))


def _workplace(output: Path, episodes: Sequence[Episode], options: IngestOptions) -> AbstractContextManager[Workplace]:
    output.parent.mkdir(parents=True, exist_ok=True)
    plan = {"sources_and_options": _fingerprint(episodes, options)}
    overwrite = may_replace(output, overwrite=options.overwrite)
    return replaced(output, TRAJECTORIES, overwrite=overwrite, plan=plan, whole=is_whole)


def _summary(output: Path, names: Sequence[str]) -> IngestSummary:
    """What the datasets hold."""
    sources: list[str] = []
    lengths: list[int] = []
    rejected: list[Rejection] = []
    for name in names:
        rejected += [Rejection(**one) for one in read_rejected(output / name)]
        if (output / name / PROCESSED).is_dir():
            rows = read_columns(output / name, ("data_source", "num_frames"))
            sources += rows["data_source"].to_pylist()
            lengths += rows["num_frames"].to_pylist()
    return IngestSummary(output, tuple(dict.fromkeys(sources)), len(lengths), sum(lengths), tuple(rejected))


def _checked(episode: Episode) -> Episode:
    """The episode, or a rejection in its place where its values can't be those of a trajectory."""
    if isinstance(episode.source, Unusable):
        reason = episode.source.reason
    elif not (reason := "; ".join(value_faults(episode))):
        return episode
    return rejected(_as_text(episode.id), _as_text(episode.data_source), _as_text(reason))


def _as_text(value: object) -> str:
    """A text that can be written: names of files need not be Unicode."""
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


def _fingerprint(episodes: Iterable[Episode], options: IngestOptions) -> str:
    """A hash of all that determines a dataset."""
    digest = hashlib.sha256(repr([getattr(options, name) for name in _DETERMINING]).encode())
    for episode in episodes:
        values = [getattr(episode, field.name) for field in fields(episode) if field.name != "source"]
        digest.update(repr((*values, episode.source.identity())).encode())
    return digest.hexdigest()


def _outcomes(episodes: Sequence[Episode], folders: Mapping[str, Path], options: IngestOptions) -> dict[str, Outcome]:
    """The outcome of each episode by its id, with a progress bar; `folders` are those of the frames by dataset."""
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    paths = [folders[dataset_folder(episode.data_source)] / file_name(episode) for episode in episodes]
    jobs = (Job(episode, path, options) for episode, path in zip(episodes, paths, strict=True))
    results = EXECUTORS[options.executor](store, jobs, options.num_workers)
    outcomes = {}
    for number, outcome in tracked(results, "ingest", len(episodes)):
        episode, path = episodes[number], paths[number]
        if outcome.stored is not None and not path.is_file():
            raise ConfigError(
                f"--output must be a folder that all machines share, but the frames of `{episode.id}` were written on "
                f"another machine and are not in {path.parent} here"
            )
        outcomes[episode.id] = outcome
    _say([(identity, note) for identity, outcome in outcomes.items() for note in outcome.notes])
    return outcomes


def _say(notes: Sequence[tuple[str, str]]) -> None:
    for identity, note in notes[:_MOST_LISTED]:
        logger.warning("%s: %s", identity, note)
    if len(notes) > _MOST_LISTED:
        logger.warning("and the like of %d more", len(notes) - _MOST_LISTED)


def _rows(
    episodes: Sequence[Episode], by_id: dict[str, Outcome], folder: Path, options: IngestOptions
) -> tuple[list[Trajectory], list[Rejection]]:
    """The rows, whose frames are in the folder, those that several show once; and what was rejected."""
    stored = [(one, found) for one in episodes if (found := by_id[one.id].stored) is not None]
    own = [folder / file_name(episode) for episode, _ in stored]
    shown = first_alike(own)
    rows = [
        _trajectory(episode, found, file.name, options) for (episode, found), file in zip(stored, shown, strict=True)
    ]
    if copies := {*own} - {*shown}:
        logger.info("%d episodes show the frames of another one, which are kept once", len(copies))
    for file in copies:
        file.unlink()
    rejected = [Rejection(one.id, by_id[one.id].reason) for one in episodes if by_id[one.id].stored is None]
    warn_of_silent(episodes, rows)
    return rows, rejected


def _trajectory(episode: Episode, stored: Stored, file: str, options: IngestOptions) -> Trajectory:
    progress = episode.progress
    if progress is not None:
        progress = tuple(progress[index] for index in stored.indices)
    return Trajectory(
        id=episode.id,
        task=episode.task,
        data_source=episode.data_source,
        frames=f"{dataset_folder(episode.data_source)}/frames/{file}",
        frames_shape=stored.shape,
        num_frames=stored.shape[0],
        quality_label=episode.quality_label,
        is_robot=episode.is_robot,
        partial_success=episode.partial_success,
        task_id=episode.task_id,
        progress=progress,
        progress_by_task=progress_by_task(episode, stored, progress),
        frame_times=stored.times,
        scene_id=scene_of(episode, options.scene),
        split=episode.split,
        preference_group_id=episode.preference_group_id,
        preference_rank=episode.preference_rank,
    )


def _made_with(episodes: Sequence[Episode], options: IngestOptions) -> dict[str, Any]:
    """What a dataset's summary says of how it was made."""
    made: dict[str, Any] = {name: getattr(options, name) for name in _DETERMINING}
    made["scenes_recorded"] = sum(episode.scene_id is not None for episode in episodes)
    opposites = {episode.task_id or episode.task: list(episode.opposites) for episode in episodes if episode.opposites}
    return {"ingest": {**made, **({"opposites": opposites} if opposites else {})}}


def _finish(
    work: Workplace, rows: Sequence[Trajectory], rejected: Sequence[Rejection], about: Mapping[str, Any]
) -> None:
    """The rejections, then the rows; a dataset without a single row is not written."""
    write_rejected(work.folder, (rejection._asdict() for rejection in rejected))
    if rejected:
        logger.warning("%d episodes rejected, see %s", len(rejected), work.output / REJECTED)
    if rows:
        cutoffs = suggest_cutoffs(work.folder / "frames", rows)
        suggested = {"suggested_success_cutoff": cutoffs} if cutoffs else {}
        write_processed_dataset(work.folder, rows, {**about, **suggested})
    elif (work.output / PROCESSED).exists():
        raise DataError(
            f"a dataset must have an episode to replace another, but all {len(rejected)} are rejected, the first for: "
            f"{rejected[0].reason}; {work.output} is left as it was, all reasons are in {work.folder / REJECTED}"
        )
