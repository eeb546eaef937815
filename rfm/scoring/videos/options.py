"""The flags of `rfm score` and `rfm prefer`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rfm.errors import ConfigError
from rfm.files.ownership import check_new_file
from rfm.frames.spacing import CHOICES, EVENLY
from rfm.ingest.episode import IngestOptions

OUTPUTS = (".jsonl", ".csv", ".parquet")
PLOTS = (".png", ".svg")
RECORDINGS = (".rrd",)
MOST_MODELS = 8
"""Laid side by side."""
_DEFAULT_MODEL = "metaworld-small"
_TASK = {"help": "What the robot is to do; several: --task A --task B", "repeatable": True}
_MODEL = {"help": "Checkpoint folder or name on the hub; several: --model A --model B", "repeatable": True}


@dataclass(frozen=True)
class ScoreOptions:
    """Say how far the robot got, over the time of each video: a table, and files for plots and for other programs."""

    videos: tuple[str, ...] = field(
        metadata={
            "help": "Videos, folders (of videos, of pictures, of a LeRobot dataset), .npz, or patterns such as '*.mp4'",
            "positional": True,
        }
    )
    task: tuple[str, ...] = field(default=(), metadata=_TASK)
    model: tuple[str, ...] = field(default=(_DEFAULT_MODEL,), metadata=_MODEL)
    manifest: str | None = field(
        default=None,
        metadata={"help": "CSV or JSONL with `path` and `task`, in place of VIDEOS", "instead_of": "videos"},
    )
    camera: str | None = field(default=None, metadata={"help": "Of a LeRobot dataset, where it has several"})
    output: str | None = field(
        default=None, metadata={"help": "File of all values, a line a frame: .jsonl, .csv, .parquet"}
    )
    plot: str | None = field(default=None, metadata={"help": "Picture of the curves: .png or .svg"})
    overlay: str | None = field(
        default=None, metadata={"help": "Video with the curve under the picture: .mp4; of several videos a folder"}
    )
    rerun: str | None = field(
        default=None, metadata={"help": "Recording for the Rerun viewer: videos with their curves, .rrd"}
    )
    points: int | None = field(default=None, metadata={"help": "Points of a curve, at most; default: every frame read"})
    frame_choice: str = field(
        default=EVENLY,
        metadata={"help": "Frames shown of a prefix: as in training, or faster", "choices": tuple(CHOICES)},
    )
    max_frames: int = field(default=64, metadata={"help": "Frames read of each video, evenly in time, at most"})
    shortest_side: int | None = field(
        default=None, metadata={"help": "Pixels of the shorter side that a model without a size of its own is shown"}
    )
    device: str = field(default="auto", metadata={"help": "auto, cuda, cuda:N, mps or cpu"})
    server: str | None = field(
        default=None,
        metadata={"help": "Address of an `rfm serve` whose model is asked in place of --model; RFM_API_KEY is its key"},
    )
    batch_size: int = field(default=16, metadata={"help": "Prefixes at a time"})
    overwrite: bool = field(default=False, metadata={"help": "Replace files that exist"})

    def __post_init__(self) -> None:
        faults = list(_faults(self.task, self.model, self.batch_size))
        if self.server is not None and (self.model != (_DEFAULT_MODEL,) or self.device != "auto"):
            faults.append("`server` must stand without --model and --device, which are its own: leave them out")
        if self.points is not None and self.points < 1:
            faults.append(f"`points` must be at least 1, but is {self.points}")
        for name, endings in (("output", OUTPUTS), ("plot", PLOTS), ("rerun", RECORDINGS)):
            value = getattr(self, name)
            if value is not None and Path(value).suffix not in endings:
                faults.append(f"`{name}` must end in {' or '.join(endings)}, but is {value}")
        if faults:
            raise ConfigError("\n".join(faults))
        self.reading()

    def reading(self) -> IngestOptions:
        """How videos are read; ConfigError for values out of range."""
        return IngestOptions(self.max_frames, shortest_side=self.shortest_side)

    def check_new(self, inputs: Collection[Path]) -> None:
        """Raise ConfigError where a file that would be written is there, or is one of those that are read."""
        for name in ("output", "plot", "rerun"):
            value = getattr(self, name)
            if value is not None:
                check_new_file(name, Path(value), overwrite=self.overwrite, inputs=inputs)


@dataclass(frozen=True)
class PreferOptions:
    """Say which of two videos made more progress, asked in both orders."""

    first: str = field(metadata={"help": "A video, a folder of pictures or an .npz", "positional": True})
    second: str = field(metadata={"help": "Another", "positional": True})
    task: tuple[str, ...] = field(metadata=_TASK)
    model: tuple[str, ...] = field(default=(_DEFAULT_MODEL,), metadata=_MODEL)
    output: str | None = field(default=None, metadata={"help": "JSONL with a line a task and model"})
    device: str = field(default="auto", metadata={"help": "auto, cuda, cuda:N, mps or cpu"})
    overwrite: bool = field(default=False, metadata={"help": "Replace a file that exists"})

    def __post_init__(self) -> None:
        faults = list(_faults(self.task, self.model, 1))
        if self.output is not None and Path(self.output).suffix != ".jsonl":
            faults.append(f"`output` must end in .jsonl, but is {self.output}")
        if faults:
            raise ConfigError("\n".join(faults))


def _faults(tasks: tuple[str, ...], models: tuple[str, ...], batch_size: int) -> Iterator[str]:
    for name, values in (("task", tasks), ("model", models)):
        if any(not value.strip() for value in values):
            yield f"`{name}` must not be empty"
        if len({*values}) < len(values):
            yield f"`{name}` must name each one once, but repeats one"
    if len(models) > MOST_MODELS:
        yield f"`model` must name at most {MOST_MODELS}, but names {len(models)}"
    if batch_size < 1:
        yield f"`batch_size` must be at least 1, but is {batch_size}"
