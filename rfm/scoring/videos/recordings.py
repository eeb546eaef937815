"""What `rfm score` is to look at: the recordings that paths, patterns, folders, datasets and lists name, with tasks."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from rfm.errors import ConfigError
from rfm.ingest.episode import FrameSource, IngestOptions, Unusable
from rfm.ingest.lerobot.episodes import IngestLeRobotOptions, lerobot_episodes
from rfm.ingest.listing.finding import natural
from rfm.ingest.listing.manifest import read_manifest
from rfm.ingest.listing.recordings import holds_pictures, recordings_below
from rfm.scoring.given_frames import Clip, of_source, read_clip
from rfm.scoring.videos.naming import as_text, tails

_LEROBOT = Path("meta") / "info.json"


class OfDataset(NamedTuple):
    """Which episode of which dataset a recording is."""

    folder: Path
    """The dataset's, links followed."""
    episode: str
    """What follows the dataset's name in its id."""


@dataclass(frozen=True)
class Recording:
    """One recording and what is asked about it."""

    name: str
    place: Path | FrameSource
    """A file or folder of its own, or where its frames lie in a dataset."""
    tasks: tuple[str, ...]
    lies_in: Path
    """The file or folder that holds it, and that is left as it is."""
    of: OfDataset | None = None
    """None for a file or folder of its own."""

    @property
    def identity(self) -> tuple[Path | OfDataset, tuple[str, ...]]:
        """What it is, whatever it is called, and what is asked."""
        return self.of or self.lies_in.absolute(), self.tasks

    def read(self, options: IngestOptions) -> Clip:
        """Return its frames; DataError where they can't be read."""
        if isinstance(self.place, Path):
            return read_clip(self.place, options)
        return of_source(self.place, self.name, options)


def recordings_of(
    paths: Sequence[str], tasks: tuple[str, ...], manifest: str | None = None, camera: str | None = None
) -> list[Recording]:
    """Return all that is named, each once; different recordings have different names.

    ConfigError where something names nothing, or it is not known what to ask.
    """
    found = [one for path in paths for one in _named(path, tasks, camera)]
    if manifest is not None:
        found += _listed(Path(manifest), tasks)
    for one in found:
        if not one.tasks and not isinstance(one.place, Unusable):
            raise ConfigError(f"`task` must be given for {one.name}: say what the robot is to do by --task")
    if camera is not None and all(isinstance(one.place, Path) for one in found):
        raise ConfigError("`camera` must go with a LeRobot dataset, but none is named; leave it out")
    kept: dict[object, Recording] = {}
    for one in found:
        kept.setdefault(one.identity, one)
    return _told_apart(list(kept.values()))


def _told_apart(recordings: list[Recording]) -> list[Recording]:
    """Call episodes of datasets that are called alike by more of the folder's path, and all by names that are text."""
    folders = {one.of.folder for one in recordings if one.of is not None}
    counts = Counter(folder.name for folder in folders)
    alike = sorted(str(folder) for folder in folders if counts[folder.name] > 1)
    called = dict(zip(alike, tails(alike), strict=True))
    return [replace(one, name=as_text(_name(one, called))) for one in recordings]


def _name(recording: Recording, called: Mapping[str, str]) -> str:
    if recording.of is None or str(recording.of.folder) not in called:
        return recording.name
    return called[str(recording.of.folder)] + recording.of.episode


def _named(path: str, tasks: tuple[str, ...], camera: str | None) -> Iterator[Recording]:
    place = Path(path)
    if not os.path.lexists(place):
        matches = sorted(glob.glob(path, recursive=True), key=natural)  # noqa: PTH207 - paths as they are written
        if not matches:
            what = "match a file" if glob.has_magic(path) else "exist"
            raise ConfigError(f"video {path} must {what}, but does not")
        for match in matches:
            yield from _named(match, tasks, camera)
    elif not place.is_dir() or holds_pictures(place):
        yield Recording(path, place, tasks, place)
    elif (place / _LEROBOT).is_file():
        yield from _episodes(place, tasks, camera)
    else:
        below = recordings_below(place)
        if not below:
            raise ConfigError(f"folder {path} must hold videos or numbered pictures, but holds none")
        files = [place / relative for relative in below]
        yield from (Recording(str(file), file, tasks, file) for file in files)


def _episodes(folder: Path, tasks: tuple[str, ...], camera: str | None) -> Iterator[Recording]:
    """The episodes of a LeRobot dataset, asked about their own task where no other is given."""
    options, home = IngestLeRobotOptions(path=str(folder), output="", camera=camera), folder.resolve()
    for episode in lerobot_episodes(options):
        own = (episode.task,) if episode.task else ()
        of = OfDataset(home, episode.id.removeprefix(options.source_name))
        yield Recording(episode.id, episode.source, tasks or own, folder, of)


def _listed(manifest: Path, tasks: tuple[str, ...]) -> Iterator[Recording]:
    if tasks:
        raise ConfigError("`task` must be left out with --manifest, which says what to ask of each video")
    if not manifest.is_file():
        raise ConfigError(f"`manifest` must be a file, but {manifest} is none")
    for row in read_manifest(manifest, manifest.parent):
        place = manifest.parent / row.path
        yield Recording(str(place), place, (row.task,), place)
