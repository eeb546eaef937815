"""The options of `rfm browse`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rfm.audit.statistics.trajectories import is_trajectory_dataset
from rfm.errors import ConfigError

MOST_IN_ONE_FILE = 2000
"""Rows of a single file; a folder takes more, for its pictures lie beside the page."""


@dataclass(frozen=True)
class BrowseOptions:
    """Write a page that shows a dataset: film strips, answers and why, distributions, and what the audit finds."""

    datasets: tuple[str, ...] = field(
        metadata={"help": "VQA datasets, or trajectory datasets as ROOT/KEY", "positional": True}
    )
    output_path: str = field(
        default="browse.html",
        metadata={"help": "The page, a file that ends in .html; else a folder with a page and its pictures"},
    )
    max_rows: int = field(default=500, metadata={"help": "Rows shown of each dataset, drawn evenly with a fixed seed"})
    max_audited: int = field(
        default=20_000, metadata={"help": "Rows of each VQA dataset that are audited and counted, drawn evenly"}
    )
    predictions: str | None = field(
        default=None, metadata={"help": "Results of `rfm evaluate` on the dataset: show its answers, the worst first"}
    )
    datasets_root: str | None = field(
        default=None, metadata={"help": "Folder of the frame paths (default: the environment's, the datasets' own)"}
    )
    rerun: str | None = field(
        default=None,
        metadata={"help": "Write the episodes shown, all their frames, for the Rerun viewer as well: a file .rrd"},
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace what exists"})

    def __post_init__(self) -> None:
        faults = [
            f"`{name}` must be at least 1, but is {getattr(self, name)}"
            for name in ("max_rows", "max_audited")
            if getattr(self, name) < 1
        ]
        if self.in_one_file and self.max_rows * len(self.datasets) > MOST_IN_ONE_FILE:
            faults.append(
                f"`max_rows` must be at most {MOST_IN_ONE_FILE // len(self.datasets)} with {len(self.datasets)} "
                f"dataset(s) in one file, but is {self.max_rows}; name a folder by --output_path to show more"
            )
        if self.predictions is not None:
            if len(self.datasets) > 1:
                faults.append(
                    f"`predictions` must go with the dataset they are about, but {len(self.datasets)} are given"
                )
            elif is_trajectory_dataset(self.datasets[0]):
                faults.append(f"`predictions` must go with a VQA dataset, but {self.datasets[0]} holds trajectories")
        if self.rerun is not None:
            faults += self._rerun_faults(self.rerun)
        repeated = sorted({path for path in self.datasets if self.datasets.count(path) > 1})
        if repeated:
            faults.append(f"`datasets` must all be different, but {', '.join(repeated)} is given more than once")
        if faults:
            raise ConfigError("\n".join(faults))

    def _rerun_faults(self, file: str) -> Iterator[str]:
        if Path(file).suffix != ".rrd":
            yield f"`rerun` must end in .rrd, but is {file}"
        for path in self.datasets:
            if not is_trajectory_dataset(path):
                yield f"`rerun` must go with trajectory datasets, as ROOT/KEY, but {path} is none"

    @property
    def in_one_file(self) -> bool:
        """Whether the page is one file."""
        return Path(self.output_path).suffix.lower() == ".html"
