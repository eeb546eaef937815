"""What is to be relabelled: the episodes of a LeRobot dataset with all their frames, or of a trajectory dataset.

Only texts and numbers are listed here; frames are read where they are judged, maybe in another process.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rfm.errors import ConfigError
from rfm.frames.reader import read_frames
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import Episode, FrameSource, IngestOptions, Unusable
from rfm.ingest.lerobot.episodes import IngestLeRobotOptions, fetched, lerobot_episodes
from rfm.ingest.lerobot.frames import ParquetPictures, VideoStretch
from rfm.ingest.reading import file_identity
from rfm.ingest.remote.hub import is_hub_name
from rfm.ingest.rules.orientation import put_right
from rfm.scoring.relabelling.options import RelabelOptions
from rfm.trajectories.catalog import load_catalog, resolve_root
from rfm.trajectories.record import dataset_folder
from rfm.vqa.prompts import PERSON, ROBOT

_NUMBER = re.compile(r"_(\d+)$")


@dataclass(frozen=True)
class Asked:
    """An episode to ask about."""

    id: str
    number: int
    """`episode_index` of a LeRobot dataset, the row of a trajectory dataset."""
    task: str
    actor: str
    source: FrameSource
    count: int
    """Its frames."""


class LeftOut(NamedTuple):
    """An episode that gets no progress, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Material:
    """The episodes of a dataset in its order, and those that can't be asked about."""

    episodes: tuple[Asked, ...]
    left_out: tuple[LeftOut, ...]
    lerobot: Path | None
    """The folder of a LeRobot dataset; None for a trajectory dataset."""

    def identity(self) -> str:
        """Return a hash of all that the values and their places depend on, but for the model."""
        digest = hashlib.sha256(repr([tuple(one) for one in self.left_out]).encode())
        for one in self.episodes:
            values = (one.id, one.number, one.task, one.actor, one.count, one.source.identity())
            digest.update(repr(values).encode())
        for folder in () if self.lerobot is None else (self.lerobot / "data", self.lerobot / "meta"):
            for path in sorted(folder.rglob("*")):
                digest.update(file_identity(path).encode() if path.is_file() else b"")
        return digest.hexdigest()


@dataclass(frozen=True)
class StoredFrames:
    """All frames of a file below a datasets root."""

    root: Path
    path: str
    count: int

    def read(self, _: IngestOptions) -> Video:
        """Return them in the size in which they are stored."""
        return Video(read_frames(self.root, self.path, range(self.count)), np.arange(self.count), self.count, 0.0)

    def identity(self) -> str:
        """Path, size and time of change."""
        return file_identity(self.root / self.path)


def find_material(options: RelabelOptions) -> Material:
    """Return what `path` names; ConfigError where it is neither kind of dataset."""
    path, root = Path(options.path), resolve_root(options.datasets_root)
    root = None if root is None else root.absolute()
    is_lerobot = options.datasets_root is None and (path / "meta" / "info.json").is_file()
    if not is_lerobot and root is not None and (root / dataset_folder(options.path)).is_dir():
        options.check_suits_trajectories()
        return _trajectories(options.path, root)
    if is_lerobot or (options.datasets_root is None and is_hub_name(options.path)):
        return _lerobot(options)
    below = "" if root is None else f" below {root}"
    raise ConfigError(
        f"`path` must be a LeRobot dataset (a folder with meta/info.json, or owner/name on the hub) or the key of a "
        f"trajectory dataset{below}, but is {options.path}; name the folder of the datasets by --datasets_root"
    )


def _trajectories(key: str, root: Path) -> Material:
    catalog = load_catalog(root, [key])
    episodes = tuple(
        Asked(
            id=catalog.ids[at].as_py(),
            number=at,
            task=catalog.texts[int(catalog.text_code[at])].as_py(),
            actor=ROBOT if catalog.is_robot[at] else PERSON,
            source=StoredFrames(root, catalog.frames_path[at].as_py(), int(catalog.num_frames[at])),
            count=int(catalog.num_frames[at]),
        )
        for at in range(len(catalog))
    )
    return Material(episodes, (), None)


def _lerobot(options: RelabelOptions) -> Material:
    wanted = fetched(
        IngestLeRobotOptions(
            path=str(Path(options.path).absolute()) if Path(options.path).exists() else options.path,
            output="",
            label="successful",  # of no use here: without one the log would say that it is not known
            camera=options.camera,
            task=options.task,
            revision=options.revision,
            tolerance=options.tolerance,
        )
    )
    episodes: list[Asked] = []
    left_out: list[LeftOut] = []
    taken: set[str] = set()
    for episode in lerobot_episodes(wanted):
        fault = _fault(episode, taken)
        taken.add(episode.id)
        if fault:
            left_out.append(LeftOut(episode.id, fault))
        else:
            episodes.append(_asked(episode, options.orientation))
    return Material(tuple(episodes), tuple(left_out), Path(wanted.path))


def _fault(episode: Episode, taken: set[str]) -> str:
    if isinstance(episode.source, Unusable):
        return episode.source.reason
    return f"meta/ must list each episode once, but lists `{episode.id}` again" if episode.id in taken else ""


def _asked(episode: Episode, orientation: str | None) -> Asked:
    source, number = episode.source, _NUMBER.search(episode.id)
    assert isinstance(source, VideoStretch | ParquetPictures)
    assert number is not None
    right = put_right(source, orientation)
    return Asked(episode.id, int(number.group(1)), episode.task, ROBOT, right, source.count)
