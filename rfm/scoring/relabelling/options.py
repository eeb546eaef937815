"""What `rfm relabel` takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from rfm.configs.experiment_configs import MOST_FRAMES
from rfm.errors import ConfigError
from rfm.ingest.executors import EXECUTORS
from rfm.ingest.rules.orientation import ORIENTATIONS
from rfm.model.device import AUTO
from rfm.model.shipped import resolve

LEROBOT, COLUMN, PARQUET = "lerobot", "column", "parquet"
FORMATS = (LEROBOT, COLUMN, PARQUET)
PROGRESS, REWARD = "progress", "reward"
VALUES = (PROGRESS, REWARD)

_OF_LEROBOT = ("camera", "task", "revision", "orientation", "tolerance")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class RelabelOptions:
    """Ask a model for the progress of every frame of a dataset, and write it for those who train policies."""

    path: str = field(
        metadata={
            "help": "LeRobot dataset (v2.0, v2.1 or v3.0; a folder, or owner/name on the hub), or the key of a "
            "trajectory dataset below --datasets_root",
            "positional": True,
        }
    )
    model_path: str = field(metadata={"help": "Checkpoint, adapter or stock model to ask"})
    output: str = field(
        metadata={"help": "Parquet to write, or a folder for MODEL_progress.parquet; with --format column the copy"}
    )
    format: str | None = field(
        default=None,
        metadata={
            "help": "lerobot: the parquet that LeRobot weights samples by; column: a copy of the LeRobot dataset with "
            "a column; parquet: episode, frame, progress, reward. Default: lerobot of LeRobot datasets, else parquet",
            "choices": FORMATS,
        },
    )
    values: str | None = field(
        default=None,
        metadata={"help": "What the column holds, with --format column (default: progress)", "choices": VALUES},
    )
    column: str | None = field(
        default=None, metadata={"help": "Name of the column, with --format column (default: as --values)"}
    )
    datasets_root: str | None = field(default=None, metadata={"help": "Folder of trajectory datasets"})
    camera: str | None = field(
        default=None, metadata={"help": "Video or image feature of a LeRobot dataset, needed where there are several"}
    )
    task: str | None = field(
        default=None, metadata={"help": "What the robot was asked to do, in all episodes of a LeRobot dataset"}
    )
    revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of a dataset on the hub"})
    orientation: str | None = field(
        default=None,
        metadata={"help": "How the pictures of a LeRobot dataset are stored, to be put right", "choices": ORIENTATIONS},
    )
    tolerance: float | None = field(
        default=None, metadata={"help": "Seconds between a row of a LeRobot dataset and its picture at most"}
    )
    base_model: str | None = field(
        default=None, metadata={"help": "Base model to take in place of the one that an adapter records"}
    )
    device: str = field(default=AUTO, metadata={"help": "Device of the model: auto, cuda, cuda:N, mps or cpu"})
    max_frames: int | None = field(
        default=None, metadata={"help": "Frames shown of a prefix, at most (default: as the model was trained)"}
    )
    batch_size: int = field(default=16, metadata={"help": "Prefixes at a time"})
    num_workers: int = field(
        default=1,
        metadata={"help": "Processes with a model each, a GPU or a core apiece; in the whole cluster with Ray"},
    )
    executor: str = field(
        default="local",
        metadata={"help": "Processes of this machine, or a Ray cluster (extra `ray`)", "choices": tuple(EXECUTORS)},
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace what is at --output"})

    def __post_init__(self) -> None:
        resolve(self, "model_path", "base_model")
        faults = [
            f"`{name}` must be at least 1, but is {getattr(self, name)}"
            for name in ("batch_size", "num_workers")
            if getattr(self, name) < 1
        ]
        if self.max_frames is not None and not 2 <= self.max_frames <= MOST_FRAMES:
            faults.append(f"`max_frames` must lie between 2 and {MOST_FRAMES}, but is {self.max_frames}")
        for name, known in (("format", FORMATS), ("values", VALUES), ("executor", tuple(EXECUTORS))):
            if getattr(self, name) not in (None, *known):
                faults.append(f"`{name}` must be one of {', '.join(known)}, but is `{getattr(self, name)}`")
        faults += [
            f"`{name}` must go with --format column, but goes with {self.format or 'none'}"
            for name in ("values", "column")
            if getattr(self, name) is not None and self.format != COLUMN
        ]
        if faults:
            raise ConfigError("\n".join(faults))

    def check_suits_trajectories(self) -> None:
        """Raise ConfigError for options that only LeRobot datasets have a use for."""
        faults = [
            f"`{name}` must go with a LeRobot dataset, but {self.path} is a trajectory dataset"
            for name in _OF_LEROBOT
            if getattr(self, name) is not None
        ]
        if self.format in (LEROBOT, COLUMN):
            faults.append(
                f"`format` {self.format} must go with a LeRobot dataset, but {self.path} is a trajectory dataset: name "
                "the LeRobot dataset that it came from, all frames of which are asked about, or take --format parquet"
            )
        if faults:
            raise ConfigError("\n".join(faults))

    @property
    def new_column(self) -> str:
        """The name of the column in a copy."""
        return self.column or self.values or PROGRESS

    @property
    def parquet(self) -> Path:
        """The file to write where it is one."""
        output = Path(self.output)
        if output.suffix == ".parquet" and not output.is_dir():
            return output
        model = _UNSAFE.sub("_", Path(self.model_path).name or self.model_path)
        return output / f"{model}_progress.parquet"
