"""The schema of the configuration: every key that `--config_overrides` takes, its type, its default, its meaning.

Hydra merges `config.yaml` and the overrides into these dataclasses, so an unknown key or a value of the wrong type is
refused before any work starts. `validate` then checks what types cannot say and reports all faults at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rfm.configs.source_weights import source_weights_faults
from rfm.errors import ConfigError

PROGRESS_PRED_TYPES = ("absolute_wrt_total_frames", "absolute_first_frame", "relative_first_frame")
SUCCESS_CUTOFFS = ("file", "idle")
DATASET_TYPES = ("strategy_first", "trajectory_first")
MIXTURES = ("balanced", "original")
MOST_FRAMES = 4096
"""Of a clip."""
RESIZE_FILTERS = ("box", "bilinear", "bicubic", "lanczos")

BOUNDS: dict[str, tuple[float, float]] = {
    "max_frames": (2, MOST_FRAMES),
    "min_frames_per_trajectory": (1, 1_000_000),
    "progress_step": (1, 50),
    "min_progress_gap": (0.01, 1.0),
    "partial_success_threshold": (0.01, 1.0),
    "traj_same_source_prob": (0.0, 1.0),
    "same_scene_share": (0.0, 1.0),
    "frame_dropping": (0.0, 0.9),
    "colour_jitter": (0.0, 0.9),
    "random_shift": (0.0, 0.5),
    "strategies_per_sample": (1, 2),
    "source_boost": (1, 100),
    "prefixes_per_episode": (1, 4096),
    "seed": (0, 2**63 - 1),
    "resized_height": (1, 16384),
    "resized_width": (1, 16384),
    "min_pixels": (1, 2**28),
    "max_pixels": (1, 2**28),
}
"""The least and the greatest value of keys; null where it may be is none of them."""
CHOICES: dict[str, tuple[str, ...]] = {
    "success_cutoff": SUCCESS_CUTOFFS,
    "dataset_type": DATASET_TYPES,
    "mixture": MIXTURES,
    "progress_pred_type": PROGRESS_PRED_TYPES,
    "resize_filter": RESIZE_FILTERS,
}
"""The values of keys that have a few."""


@dataclass
class DataConfig:
    """Which trajectories questions are drawn from, how they are drawn, and how frames reach the model."""

    datasets_root: str | None = None
    """Folder that holds the trajectory datasets; null: $RFM_PROCESSED_DATASETS_PATH, else the bundled videos."""
    train_datasets: list[str] = field(default_factory=lambda: ["metaworld_train"])
    """Dataset keys (folders below the root) that training questions are drawn from."""
    eval_datasets: list[str] = field(default_factory=lambda: ["metaworld_eval"])
    """Dataset keys that held-out questions are drawn from (`--partition eval`)."""
    split_file: str | None = None
    """A file of `rfm split`: `--partition` then names one of its sides, of the trajectories of `train_datasets`."""
    max_frames: int = 16
    """Frames shown per clip, at most."""
    min_frames_per_trajectory: int = 5
    """Trajectories with fewer frames are left out."""
    sample_type_ratio: list[float] = field(default_factory=lambda: [0.7, 0.3, 0.0])
    """Shares of preference, progress and similarity questions."""
    preference_strategy_ratio: Any = None
    """[rewind, suboptimal, different_task, reverse_progress], or a mapping by name, also same_task_progress and
    stopped_early; null: all, same_task_progress twice."""
    progress_strategy_ratio: Any = None
    """[different_task_instruction, forward_progress, reverse_progress, rewind], or a mapping, which also takes
    prefix_progress and whole_progress; null: 1, 1.5, 1, 1 and 1.2, 0.3."""
    similarity_strategy_ratio: Any = None
    """[rewind, suboptimal, paired_human_robot], or a mapping; null: equal shares."""
    dataset_type: str = "strategy_first"
    """`strategy_first`: a strategy draws its trajectories at random; `trajectory_first`: all that can, in turn."""
    source_weights: Any = None
    """How often each data source is drawn from: `uniform`, `proportional`, a temperature, or a mapping by source; null:
    `uniform` with strategy_first, `proportional` with trajectory_first. See docs/generation.md."""
    mixture: str = "balanced"
    """`balanced`: only the task tells the answer; `original`: pairs as in the original recipe, shortcuts and all."""
    strategies_per_sample: int = 1
    """2: preference and progress have a fifth strategy, `reverse_progress+rewind`: back past the end, then forward."""
    source_boost: int = 2
    """How many times as often trajectories of sources that suit a similarity strategy serve it; 1: as all others."""
    progress_pred_type: str = "absolute_wrt_total_frames"
    """How time gives progress where none is recorded; see docs/generation.md."""
    discrete_progress: bool = False
    """Ask for a score from 1 to 5 instead of 0 to 100."""
    progress_step: int = 1
    """Scores are asked for in multiples of this (a divisor of 100); 5 is easier to learn for a small model."""
    min_progress_gap: float = 0.2
    """The ends of two clips of one episode differ by at least this much progress (0 to 1)."""
    partial_success_threshold: float = 0.2
    """Two episodes compared by partial success differ by at least this much (0 to 1)."""
    traj_same_source_prob: float = 0.5
    """Probability that a video asked for another task is of the data source of the row whose instruction is taken; else
    of one in which that task is also found."""
    same_scene_share: float = 0.5
    """Of questions with another task's instruction, the share about a task of the clip's own scene, where
    `progress_by_task` gives the answer; the others are of another scene."""
    prefixes_per_episode: int = 8
    """Prefixes of each episode in `--eval_set prefixes`; of shorter episodes one per frame after the first."""
    success_cutoff: str = "file"
    """Where successful episodes without recorded progress are done: `file`: as dataset_success_cutoff_file says, at the
    end without one; `idle`: where nothing moves any more in the frames, per source."""
    dataset_success_cutoff_file: str | None = None
    """CSV of `data_source,share`: the share of an episode's time at which its task is done."""
    frame_dropping: float = 0.0
    """Share of a clip's frames between the first and the last that questions for training may lack, at most."""
    colour_jitter: float = 0.0
    """In training: brightness, contrast and saturation times a factor from 1 - this to 1 + this, the same for a row."""
    random_shift: float = 0.0
    """In training: frames of a row are moved by up to this share of their height and width, edges repeated."""
    resized_height: int | None = None
    """Height in pixels at which frames enter the model; null: as stored."""
    resized_width: int | None = None
    """Width in pixels at which frames enter the model; null: as stored."""
    resize_filter: str = "box"
    """Filter of that reduction."""
    min_pixels: int | None = None
    """Pixels (height x width) that a frame is enlarged to where it has fewer, aspect ratio kept; null: none is."""
    max_pixels: int | None = None
    """Pixels that a frame is reduced to where it has more, aspect ratio kept; null: the model's own budget alone."""
    seed: int = 42
    """Seed of the questions; `--seed` sets it."""


@dataclass
class ExperimentConfig:
    """The whole configuration."""

    data: DataConfig = field(default_factory=DataConfig)


def validate(config: ExperimentConfig) -> ExperimentConfig:
    """Return `config`, or raise one ConfigError that lists every fault of its values."""
    data = config.data
    faults = [*_range_faults(data), *_ratio_faults(data), *_choice_faults(data)]
    if not faults and 100 % data.progress_step:
        faults.append(f"`data.progress_step` must divide 100, but is {data.progress_step}; try 1, 5 or 10")
    if (data.resized_height is None) != (data.resized_width is None):
        faults.append("`data.resized_height` and `data.resized_width` must be given together")
    if data.resized_height is not None and (data.min_pixels is not None or data.max_pixels is not None):
        faults.append("`data.min_pixels` and `data.max_pixels` must be null with data.resized_height; leave one out")
    if data.min_pixels is not None and data.max_pixels is not None and data.min_pixels > data.max_pixels:
        faults.append(f"`data.min_pixels` must be <= {data.max_pixels} (data.max_pixels), but is {data.min_pixels}")
    if data.success_cutoff != "file" and data.dataset_success_cutoff_file is not None:
        faults.append("`data.dataset_success_cutoff_file` must be null with data.success_cutoff=idle; leave one out")
    faults += source_weights_faults(data.source_weights)
    if data.dataset_type == "trajectory_first" and data.source_weights not in (None, "proportional"):
        faults.append(
            "`data.source_weights` must be null or proportional with data.dataset_type=trajectory_first, which draws "
            f"every trajectory equally often, but is {data.source_weights!r}; take strategy_first"
        )
    if faults:
        raise ConfigError("\n".join(faults))
    return config


def _range_faults(data: DataConfig) -> list[str]:
    return [
        f"`data.{name}` must lie between {low:g} and {high:g}, but is {getattr(data, name)}"
        for name, (low, high) in BOUNDS.items()
        if getattr(data, name) is not None and not low <= getattr(data, name) <= high
    ]


def _ratio_faults(data: DataConfig) -> list[str]:
    ratio = list(data.sample_type_ratio)
    if len(ratio) != 3 or any(not 0 <= share < float("inf") for share in ratio):
        return [
            f"`data.sample_type_ratio` must be three shares >= 0 (preference, progress, similarity), but is {ratio}"
        ]
    if sum(ratio) == 0:
        return ["`data.sample_type_ratio` must have a share above 0, but is all zeros; try [0.7,0.3,0.0]"]
    return []


def _choice_faults(data: DataConfig) -> list[str]:
    return [
        f"`data.{name}` must be one of {', '.join(valid)}, but is {getattr(data, name)!r}"
        for name, valid in CHOICES.items()
        if getattr(data, name) not in valid
    ]
