"""What an adapter hands to the pipeline: episodes with their labels, and sources that read frames when asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rfm.errors import ConfigError, DataError
from rfm.files.limits import LONGEST_SIDE
from rfm.frames.npz.file import FORMS
from rfm.frames.video.decoding import Video
from rfm.ingest.executors import EXECUTORS
from rfm.trajectories.other_tasks import ProgressByTask

SCENES = ("source", "episode", "none")


@dataclass(frozen=True)
class IngestOptions:
    """How frames are chosen and kept, and how the work is done."""

    max_frames: int = 64
    height: int | None = None
    width: int | None = None
    form: str = "stored"
    overwrite: bool = False
    num_workers: int = 1
    shortest_side: int | None = None
    """Pixels that the shorter side is brought down to, the aspect ratio kept; smaller frames stay as they are."""
    executor: str = "local"
    scene: str = "none"
    """What episodes without a `scene_id` share one with: their `source`, nothing but themselves (`episode`), `none`."""

    def __post_init__(self) -> None:
        faults = [f"`{name}` must be at least 1, but is {value}" for name, value in self._sizes() if value < 1]
        for name, value in self._sizes():
            if name in ("height", "width") and value > LONGEST_SIDE:
                faults.append(f"`{name}` must be at most {LONGEST_SIDE} pixels, but is {value}")
        if (self.height is None) != (self.width is None):
            faults.append("`height` and `width` must be given together, but only one is")
        if self.shortest_side is not None and (self.height is not None or self.width is not None):
            faults.append("`shortest_side` must not be given together with `height` and `width`: leave one out")
        if self.form not in FORMS:
            faults.append(f"`form` must be one of {', '.join(FORMS)}, but is `{self.form}`")
        if self.executor not in EXECUTORS:
            faults.append(f"`executor` must be one of {', '.join(EXECUTORS)}, but is `{self.executor}`")
        if self.scene not in SCENES:
            faults.append(f"`scene` must be one of {', '.join(SCENES)}, but is `{self.scene}`")
        if faults:
            raise ConfigError("; ".join(faults))

    def sizing(self, height: int, width: int) -> tuple[int, int]:
        """The height and width to keep of a frame of this height and width."""
        if self.height is not None and self.width is not None:
            return self.height, self.width
        if self.shortest_side is None or min(height, width) <= self.shortest_side:
            return height, width
        scale = self.shortest_side / min(height, width)
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def _sizes(self) -> Iterator[tuple[str, int]]:
        for name in ("max_frames", "height", "width", "shortest_side", "num_workers"):
            value = getattr(self, name)
            if value is not None:
                yield name, value


class FrameSource(Protocol):
    """Where an episode's frames come from; pickled for worker processes."""

    def read(self, options: IngestOptions) -> Video:
        """The chosen frames, `evenly_spaced`, in the size to keep; DataError if they can't be read."""

    def identity(self) -> str:
        """Changes when the frames do; never fails, for it is asked of files that may be gone."""


@dataclass(frozen=True)
class Unusable:
    """The source of an episode that its adapter found to be faulty: it goes to `rejected.jsonl` with this reason."""

    reason: str

    def read(self, options: IngestOptions) -> Video:
        """Raise the reason."""
        raise DataError(self.reason)

    def identity(self) -> str:
        """The reason."""
        return self.reason


@dataclass(frozen=True)
class Episode:
    """A trajectory to be ingested; progress has one value a frame of the source, before frames are chosen."""

    id: str
    task: str
    data_source: str
    source: FrameSource
    quality_label: str | None = None
    is_robot: bool = True
    partial_success: float | None = None
    task_id: str | None = None
    progress: tuple[float, ...] | None = None
    progress_by_task: ProgressByTask | None = None
    opposites: tuple[str, ...] = ()
    """Tasks whose progress is 1 less this one's."""
    scene_id: str | None = None
    split: str | None = None
    preference_group_id: str | None = None
    preference_rank: int | None = None
