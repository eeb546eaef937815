"""The flags of `rfm generate`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields

from rfm.errors import ConfigError
from rfm.generation.parts import Part
from rfm.generation.plain_flags import plain_faults, plain_overrides
from rfm.sampling.eval_sets import SETS
from rfm.splits.datasets import NEAR_DUPLICATES
from rfm.splits.deal import UNITS, fold_shares, parse_shares

_MOVABLE = ("data.datasets_root=", "data.split_file=")
MOST_ROWS = 2**31 - 1
"""What the rows of one dataset are counted in; at 200,000 rows/s three hours of work."""


class Unasked(int):
    """A default that can be told from the same number when it is asked for."""


@dataclass(frozen=True)
class GenerateOptions:
    """Generate a static VQA dataset of prompts, answers and references to frames."""

    output_path: str = field(metadata={"help": "Path to save the generated HuggingFace dataset"})
    num_samples: int = field(
        default=Unasked(10000), metadata={"help": "Number of samples to generate; of an evaluation set, at most"}
    )
    num_epochs: int | None = field(
        default=None, metadata={"help": "Instead: as many samples as there are usable trajectories, times this"}
    )
    seed: int | None = field(default=None, metadata={"help": "Random seed (default: data.seed, 42)"})
    num_workers: int = field(default=8, metadata={"help": "Parallel workers, at most; -1: as many as CPUs"})
    save_batch_size: int = field(default=10000, metadata={"help": "Save every N samples; -1: all at once"})
    config_name: str = field(default="config", metadata={"help": "Hydra config to use"})
    config_overrides: tuple[str, ...] = field(
        default=(), metadata={"help": "Config overrides, key=value …; `rfm config` lists the keys"}
    )
    datasets: tuple[str, ...] = field(
        default=(), metadata={"help": "Datasets to draw from, by the names of their folders below the root"}
    )
    datasets_root: str | None = field(
        default=None,
        metadata={"help": "Folder of the datasets (default: $RFM_PROCESSED_DATASETS_PATH, else the bundled videos)"},
    )
    max_frames: int | None = field(default=None, metadata={"help": "Frames of a clip, at most (default: 16)"})
    shares: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Of each type, as in preference=0.7 progress=0.3, which is the default; similarity is there too"
        },
    )
    discrete_progress: bool = field(
        default=False, metadata={"help": "Ask for scores from 1 to 5 (data.discrete_progress=true)"}
    )
    eval_mode: bool = field(
        default=False, metadata={"help": "Real quality differences and whole episodes instead of augmentations"}
    )
    eval_set: str | None = field(
        default=None, metadata={"help": "Every question of one kind, for one metric", "choices": tuple(SETS)}
    )
    partition: str | None = field(
        default=None,
        metadata={
            "help": "Draw from data.train_datasets (train), data.eval_datasets (eval), or this side of data.split_file "
            "(default: train; with --eval_mode and --eval_set, eval)",
        },
    )
    split: str | None = field(
        default=None,
        metadata={"help": "Split data.train_datasets, as in train=0.8,val=0.1,test=0.1, and write a dataset each"},
    )
    folds: int | None = field(
        default=None,
        metadata={"help": "Instead of --split: so many pairs of datasets, fold_1/train, fold_1/test, …"},
    )
    split_by: str | None = field(
        default=None, metadata={"help": "What --split never divides (default: trajectory)", "choices": UNITS}
    )
    split_near_duplicates: str | None = field(
        default=None,
        metadata={
            "help": "Episodes that show the same: keep on one side, report, or do not look (default: together)",
            "choices": NEAR_DUPLICATES,
        },
    )
    shard: str | None = field(
        default=None, metadata={"help": "I/N: write part I of N of the rows; the last of N jobs makes the dataset"}
    )
    verify: str | None = field(
        default=None,
        metadata={
            "help": "Instead: draw this dataset again from its generation_config.json and compare",
            "instead_of": "output_path",
        },
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace a dataset that exists"})

    def __post_init__(self) -> None:
        faults = [
            f"`{name}` must be {rule}, but is {getattr(self, name)}"
            for name, good, rule in (
                ("num_samples", self.num_samples >= 1, "at least 1"),
                ("num_samples", self.num_samples <= MOST_ROWS, f"at most {MOST_ROWS}"),
                ("num_epochs", self.num_epochs is None or self.num_epochs >= 1, "at least 1"),
                ("num_epochs", (self.num_epochs or 1) <= MOST_ROWS, f"at most {MOST_ROWS}"),
                ("seed", self.seed is None or self.seed >= 0, "at least 0"),
                ("num_workers", self.num_workers >= 1 or self.num_workers == -1, "at least 1, or -1 for all CPUs"),
                ("save_batch_size", self.save_batch_size >= 1 or self.save_batch_size == -1, "at least 1, or -1"),
                ("eval_set", self.eval_set is None or self.eval_set in SETS, f"one of {', '.join(SETS)}"),
            )
            if not good
        ]
        faults += [f"{one} and {other} must not be given together; {why}" for one, other, why in self._conflicts()]
        faults += [
            f"`{name}` must come with `split` or `folds`, but is given alone"
            for name in ("split_by", "split_near_duplicates")
            if not self.divides and getattr(self, name) is not None
        ]
        faults += plain_faults(self)
        if self.shard is not None:
            Part.parse(self.shard)
        if self.split is not None:
            parse_shares(self.split)
        if self.folds is not None:
            fold_shares(self.folds)
        if faults:
            raise ConfigError("\n".join(faults))

    def _conflicts(self) -> list[tuple[str, str, str]]:
        epochs, dividing = self.num_epochs is not None, "split" if self.folds is None else "folds"
        pairs = (
            (self.samples_asked and epochs, "`num_samples`", "`num_epochs`", "both say how many rows: leave one out"),
            (
                epochs and self.eval_set is not None, "`num_epochs`", "`eval_set`",
                "an evaluation set has each question once: limit it by --num_samples",
            ),
            (
                self.eval_mode and self.eval_set is not None, "`eval_mode`", "`eval_set`",
                "an evaluation set says by itself what is asked: leave --eval_mode out",
            ),
            (
                self.overwrite and self.shard is not None, "`overwrite`", "`shard`",
                "jobs would remove each other's parts: remove the old dataset before they start",
            ),
            (self.split is not None and self.folds is not None, "`split`", "`folds`", "both divide: leave one out"),
            (
                self.divides and self.partition is not None, f"`{dividing}`", "`partition`",
                "all sides are written: leave --partition out",
            ),
            (
                self.divides and self.eval_set is not None, f"`{dividing}`", "`eval_set`",
                "draw an evaluation set from one side: --partition with data.split_file",
            ),
            (
                self.verify is not None and bool(self._besides_verify()), "`verify`", ", ".join(self._besides_verify()),
                "settings are those of the dataset's generation_config.json: leave them out",
            ),
        )  # fmt: skip
        return [(one, other, why) for wrong, one, other, why in pairs if wrong]

    def _besides_verify(self) -> list[str]:
        """Return the flags given that a verification has no use for."""
        kept = ("verify", "num_workers", "config_overrides", "datasets_root")
        named = [one.name for one in fields(self) if one.name not in kept]
        given = [f"`{name}`" for name in named if getattr(self, name) != _default(name)]
        return given + [f"`{text}`" for text in self.config_overrides if not text.startswith(_MOVABLE)]

    @property
    def moved(self) -> dict[str, str]:
        """Where sources are that have moved since: `datasets_root` and `split_file` among the overrides."""
        found = (text.partition("=") for text in self.config_overrides if text.startswith(_MOVABLE))
        places = {name.removeprefix("data."): value for name, _, value in found}
        return places if self.datasets_root is None else {**places, "datasets_root": self.datasets_root}

    @property
    def overrides(self) -> tuple[str, ...]:
        """All of the configuration's keys that were given, as Hydra takes them."""
        return (*self.config_overrides, *plain_overrides(self))

    @property
    def divides(self) -> bool:
        """Whether there is a dataset for each side."""
        return self.split is not None or self.folds is not None

    @property
    def samples_asked(self) -> bool:
        """Whether --num_samples was given."""
        return not isinstance(self.num_samples, Unasked)

    @property
    def drawn_partition(self) -> str:
        """`train`, `eval`, or a side of `data.split_file`."""
        return self.partition or ("eval" if self.eval_mode or self.eval_set is not None else "train")


def _default(name: str) -> object:
    default = GenerateOptions.__dataclass_fields__[name].default
    return "" if default is MISSING else default
