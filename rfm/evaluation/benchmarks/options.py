"""The options of public benchmarks: those of an evaluation, and what of the benchmark is asked, in how many frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rfm.configs.experiment_configs import MOST_FRAMES
from rfm.errors import ConfigError
from rfm.evaluation.options import EvaluateOptions
from rfm.ingest.sources.roboreward import SPLITS

if TYPE_CHECKING:
    from rfm.batch.input_format import InputFormat

SETS = {"alignment": "prefixes", "ranking": "ranking", "confusion": "confusion"}
"""What Robometer evaluates, and the evaluation set that asks it."""


class Asked(NamedTuple):
    """How a benchmark is asked."""

    max_frames: int
    """Shown of a clip at most."""
    max_frames_from: str
    """Who says so."""
    discrete: bool
    """Whether scores are asked for from 1 to 5, else from 0 to 100."""

    def record(self) -> dict[str, Any]:
        """Return what the results file says of it."""
        scale = "1 to 5" if self.discrete else "0 to 100"
        return {"max_frames": self.max_frames, "max_frames_from": self.max_frames_from, "asked_for": scale}


def _path(what: str) -> Any:
    return field(metadata={"help": what, "positional": True})


@dataclass(frozen=True)
class BenchOptions(EvaluateOptions):
    """A public benchmark, read where it lies."""

    datasets_root: str | None = field(
        default=None, metadata={"help": "Folder that frame paths of --calibrate_on are relative to"}
    )
    max_frames: int | None = field(
        default=None, metadata={"help": "Frames shown of a clip at most (default: as the checkpoint was trained)"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        faults = self._faults()
        if faults:
            raise ConfigError("\n".join(faults))

    def _faults(self) -> list[str]:
        faults = []
        if self.max_frames is not None and not 2 <= self.max_frames <= MOST_FRAMES:
            faults.append(f"`max_frames` must lie between 2 and {MOST_FRAMES}, but is {self.max_frames}")
        if self.datasets_root is not None and self.calibrate_on is None:
            faults.append("`datasets_root` must go with --calibrate_on: a benchmark's frames lie in its own folder")
        return faults

    def asked(self, trained: InputFormat | None, otherwise: int) -> Asked:
        """Return how it is asked of a model that was trained so; in `otherwise` frames where nobody says how many."""
        discrete = trained is not None and bool(trained.discrete_progress)
        if self.max_frames is not None:
            return Asked(self.max_frames, "--max_frames", discrete)
        if trained is not None and trained.max_frames is not None:
            return Asked(trained.max_frames, "the checkpoint", discrete)
        return Asked(otherwise, "the default", discrete)


@dataclass(frozen=True)
class RoboRewardOptions(BenchOptions):
    """Judge a model on RoboRewardBench, where it lies: levels 1 to 5, by subset and by where its rows come from."""

    dataset_path: str = _path("Folder of RoboReward with its splits, or of one split")
    output_path: str = field(default="./bench_roboreward.json", metadata={"help": "Path to save results JSON"})
    split: str = field(default="test", metadata={"help": "Which of several splits", "choices": SPLITS})


@dataclass(frozen=True)
class RbmOptions(BenchOptions):
    """Judge a model on processed evaluation sets of RFM and Robometer, where they lie."""

    dataset_path: str = _path("Folder of processed datasets, or one of them")
    output_path: str = field(default="./bench_rbm.json", metadata={"help": "Path to save results JSON"})
    datasets: tuple[str, ...] = field(default=(), metadata={"help": "Which of several datasets (default: all)"})
    sets: tuple[str, ...] = field(default=tuple(SETS), metadata={"help": "What is evaluated", "choices": tuple(SETS)})
    episodes: int = field(
        default=30, metadata={"help": "Episodes of each dataset, for alignment and for confusion; ranking has all"}
    )
    prefixes: int = field(default=5, metadata={"help": "Prefixes of an episode, for alignment"})
    draw_seed: int = field(default=0, metadata={"help": "Which episodes are taken"})

    def _faults(self) -> list[str]:
        faults = super()._faults()
        if self.max_samples is not None:
            faults.append("`max_samples` must be left out: the first rows are of one set; take fewer --episodes")
        for name, most in (("episodes", 2**31 - 1), ("prefixes", 4096)):
            if not 1 <= getattr(self, name) <= most:
                faults.append(f"`{name}` must lie between 1 and {most}, but is {getattr(self, name)}")
        if not 0 <= self.draw_seed < 2**63:
            faults.append(f"`draw_seed` must be a whole number from 0, but is {self.draw_seed}")
        if unknown := [name for name in self.sets if name not in SETS] or ([] if self.sets else ["none"]):
            faults.append(f"`sets` must be among {', '.join(SETS)}, but one is {unknown[0]!r}")
        return faults
