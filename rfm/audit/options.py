"""The options of `rfm audit`: what to look at, and what may be found."""

from __future__ import annotations

from dataclasses import dataclass, field

from rfm.errors import ConfigError


@dataclass(frozen=True)
class AuditOptions:
    """Check VQA datasets: labels, balance, shortcuts, repeats, overlap, files. Exit status 1 past the limits."""

    datasets: tuple[str, ...] = field(
        metadata={"help": "One or several VQA datasets; several are also compared with each other", "positional": True}
    )
    datasets_root: str | None = field(
        default=None, metadata={"help": "Folder of the frame paths (default: the environment's, the datasets' own)"}
    )
    output_path: str | None = field(default=None, metadata={"help": "Also write everything to this JSON file"})
    overwrite: bool = field(default=False, metadata={"help": "Replace a file that exists"})
    max_rows: int | None = field(default=None, metadata={"help": "Look at this many rows of each, drawn evenly"})
    max_contradictions: int = field(default=0, metadata={"help": "Rows that may break a rule"})
    max_unreadable: int = field(default=0, metadata={"help": "Rows whose frames may be unreadable"})
    max_shortcut_accuracy: float = field(
        default=0.55, metadata={"help": "Share of pairs that may be told without looking at content"}
    )
    min_progress_error: float = field(
        default=0.9,
        metadata={"help": "Error of telling progress without looking at content, as a share of the best constant's"},
    )
    min_decile_share: float = field(
        default=0.05, metadata={"help": "Share of progress answers other than 0 that each tenth of the scale must have"}
    )
    max_imbalance: float = field(default=0.02, metadata={"help": "How far answers 1 and 2 may be from half each"})
    max_ratio_error: int = field(
        default=0, metadata={"help": "Whole rows by which a type or strategy may be off its share"}
    )
    max_duplicates: float = field(default=0.05, metadata={"help": "Share of rows that may repeat an earlier one"})
    max_overlap: int = field(default=0, metadata={"help": "Trajectories that two of the datasets may share"})
    max_near_duplicates: int = field(
        default=0, metadata={"help": "Episodes that may look like one of another dataset under another name"}
    )
    max_task_overlap: int | None = field(
        default=None, metadata={"help": "Instructions that two datasets may share (default: reported, any number)"}
    )
    max_hashed_episodes: int = field(
        default=5000, metadata={"help": "Episodes of each dataset that are compared by their looks; 0: none"}
    )
    content: bool = field(
        default=False,
        metadata={"help": "Also read small first and last frames: how well do they and the words tell answers?"},
    )
    strict: bool = field(default=False, metadata={"help": "Fail as well if something could not be checked"})

    def __post_init__(self) -> None:
        faults = [
            f"`{name}` must be {rule}, but is {getattr(self, name)}"
            for name, low, high, rule in _BOUNDS
            if getattr(self, name) is not None and not low <= getattr(self, name) <= high
        ]
        repeated = sorted({path for path in self.datasets if self.datasets.count(path) > 1})
        if repeated:
            faults.append(f"`datasets` must all be different, but {', '.join(repeated)} is given more than once")
        if faults:
            raise ConfigError("\n".join(faults))


_ANY = float("inf")
_BOUNDS = (
    ("max_rows", 1, _ANY, "at least 1"),
    ("max_contradictions", 0, _ANY, "at least 0"),
    ("max_unreadable", 0, _ANY, "at least 0"),
    ("max_overlap", 0, _ANY, "at least 0"),
    ("max_near_duplicates", 0, _ANY, "at least 0"),
    ("max_task_overlap", 0, _ANY, "at least 0"),
    ("max_hashed_episodes", 0, _ANY, "at least 0"),
    ("max_ratio_error", 0, _ANY, "at least 0"),
    ("max_shortcut_accuracy", 0, 1, "between 0 and 1"),
    ("min_progress_error", 0, 1, "between 0 and 1"),
    ("min_decile_share", 0, 1, "between 0 and 1"),
    ("max_imbalance", 0, 1, "between 0 and 1"),
    ("max_duplicates", 0, 1, "between 0 and 1"),
)
