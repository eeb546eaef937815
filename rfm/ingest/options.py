"""What all `rfm ingest …` commands of recorded data take, and how they run."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from rfm.errors import DataError
from rfm.files.lock import exclusive
from rfm.ingest.episode import SCENES, Episode, IngestOptions, Unusable
from rfm.ingest.executors import EXECUTORS
from rfm.ingest.pipeline import IngestSummary, ingest
from rfm.ingest.remote.fetch import is_remote, localised
from rfm.ingest.remote.upload import RemoteOutput
from rfm.ingest.rules.opposites import with_opposites
from rfm.ingest.rules.orientation import ORIENTATIONS, put_right
from rfm.trajectories.record import dataset_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """How frames are kept, where they go, and how the work is done."""

    output: str = field(metadata={"help": "Datasets root to write below, here or on a remote store"})
    max_frames: int = field(default=64, metadata={"help": "Frames kept of each episode, evenly spaced, at most"})
    height: int | None = field(default=None, metadata={"help": "Height in pixels; default: as recorded"})
    width: int | None = field(default=None, metadata={"help": "Width in pixels; default: as recorded"})
    shortest_side: int | None = field(
        default=None, metadata={"help": "Pixels of the shorter side at most, aspect ratio kept; default: as recorded"}
    )
    form: str = field(
        default="stored",
        metadata={"help": "How frames are stored in their .npz", "choices": ("stored", "compressed", "jpeg")},
    )
    num_workers: int = field(default=1, metadata={"help": "Processes that decode, in the whole cluster with Ray"})
    executor: str = field(
        default="local",
        metadata={"help": "Processes of this machine, or a Ray cluster (extra `ray`)", "choices": tuple(EXECUTORS)},
    )
    orientation: str | None = field(
        default=None,
        metadata={
            "help": "How the pictures are stored, to be put right; default: as the source says",
            "choices": ORIENTATIONS,
        },
    )
    scene: str = field(
        default="none",
        metadata={
            "help": "Where the format names no scene: all episodes of a data source show one, or each its own",
            "choices": SCENES,
        },
    )
    opposites: str | None = field(
        default=None,
        metadata={
            "help": "YAML of tasks that undo each other, `open the drawer: close the drawer`, by text or task_id",
            "remote": True,
        },
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace datasets that exist"})

    def pipeline(self) -> IngestOptions:
        """The same for the pipeline; ConfigError for values out of range."""
        return IngestOptions(**{option.name: getattr(self, option.name) for option in fields(IngestOptions)})


Chosen = TypeVar("Chosen", bound=PipelineOptions)


@dataclass(frozen=True, kw_only=True)
class DatasetOptions(PipelineOptions):
    """A dataset of somebody else's format, as one or more trajectory datasets."""

    path: str = field(metadata={"help": "The dataset, here or on a remote store", "positional": True, "remote": True})
    data_source: str | None = field(
        default=None, metadata={"help": "Dataset key, a folder below --output; default: the name of PATH"}
    )

    @property
    def source_name(self) -> str:
        """`data_source`, or the name of the file or folder."""
        path = Path(self.path).resolve()
        return self.data_source or (path.stem if path.is_file() else path.name)

    @property
    def made(self) -> str:
        """The folder of the dataset where all episodes are of one source."""
        return f"{self.output.rstrip('/')}/{dataset_folder(self.source_name)}"


def run_ingest(adapter: Callable[[Chosen], Iterable[Episode]], options: Chosen) -> int:
    """Ingest what the adapter finds, report, and return the exit status: 1 if an episode was rejected.

    Remote paths among the options are copied here first; a remote output is made here and uploaded.
    """
    chosen = options.pipeline()
    local = localised(options)
    episodes = [_put_right(episode, local.orientation) for episode in adapter(local)]
    if local.opposites is not None:
        episodes = with_opposites(episodes, Path(local.opposites))
    if not episodes:
        raise DataError(f"{getattr(options, 'path', options.output)} must hold episodes, but holds none")
    if is_remote(options.output) and not options.output.startswith("file://"):
        summary = _ingest_to(RemoteOutput(options.output), episodes, chosen)
    else:
        summary = ingest(episodes, Path(options.output.removeprefix("file://")), chosen)
    logger.info("%s", summary)
    return 1 if summary.rejected else 0


def _put_right(episode: Episode, orientation: str | None) -> Episode:
    """The user's word on how pictures are stored, for all sources alike."""
    if isinstance(episode.source, Unusable):
        return episode
    return replace(episode, source=put_right(episode.source, orientation))


def _ingest_to(output: RemoteOutput, episodes: Sequence[Episode], options: IngestOptions) -> IngestSummary:
    folders = list(dict.fromkeys(dataset_folder(episode.data_source) for episode in episodes))
    if not options.overwrite:
        output.check_vacant(folders)
    output.check_writable()
    with exclusive(output.local, wait=False):
        summary = ingest(episodes, output.local, replace(options, overwrite=True), output.upload)
        shutil.rmtree(output.local)
    return replace(summary, output=output.url)
