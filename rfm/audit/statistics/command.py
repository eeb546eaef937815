"""The command `rfm stats`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rfm.audit.reading.questions import read_questions
from rfm.audit.statistics.counts import Statistics, gather
from rfm.audit.statistics.plot import plot_statistics
from rfm.audit.statistics.tables import print_statistics
from rfm.audit.statistics.trajectories import (
    TrajectoryStatistics,
    gather_trajectories,
    is_trajectory_dataset,
    print_trajectories,
)
from rfm.console import show
from rfm.errors import ConfigError
from rfm.files.ownership import check_new_file
from rfm.files.staging import staged_file
from rfm.vqa.dataset import load_dataset


@dataclass(frozen=True)
class StatisticsOptions:
    """Count what datasets consist of: types, strategies and answers of questions; tasks and scenes of trajectories."""

    datasets: tuple[str, ...] = field(
        metadata={"help": "One or several datasets; trajectory datasets as ROOT/KEY", "positional": True}
    )
    output_path: str | None = field(default=None, metadata={"help": "Also write the counts to this JSON file"})
    plot: str | None = field(default=None, metadata={"help": "Also draw them to this PNG file"})
    overwrite: bool = field(default=False, metadata={"help": "Replace files that exist"})
    max_rows: int | None = field(default=None, metadata={"help": "Look at this many rows of each, drawn evenly"})

    def __post_init__(self) -> None:
        faults = []
        if self.max_rows is not None and self.max_rows < 1:
            faults.append(f"`max_rows` must be at least 1, but is {self.max_rows}")
        if self.plot is not None and Path(self.plot).suffix.lower() != ".png":
            faults.append(f"`plot` must end in .png, but is {self.plot}")
        trajectories = [path for path in self.datasets if is_trajectory_dataset(path)]
        for name in ("plot", "max_rows"):
            if trajectories and getattr(self, name) is not None:
                faults.append(f"`{name}` must go with VQA datasets alone, but {trajectories[0]} holds trajectories")
        if faults:
            raise ConfigError("\n".join(faults))


def statistics(options: StatisticsOptions) -> None:
    """Print, write and draw the statistics of the datasets.

    Raises:
        ConfigError: a file that would be written exists.
        DataError: a path holds no dataset.

    """
    for name, file in (("output_path", options.output_path), ("plot", options.plot)):
        if file is not None:
            check_new_file(name, Path(file), overwrite=options.overwrite)
    gathered = [_gathered(path, options.max_rows) for path in options.datasets]
    found = {"datasets": [asdict(one) for one in gathered]}
    if options.output_path is not None:
        text = json.dumps(found, indent=2, ensure_ascii=False)
        Path(options.output_path).parent.mkdir(parents=True, exist_ok=True)
        with staged_file(Path(options.output_path)) as staged:
            staged.write_text(text + "\n", encoding="utf-8")
    if options.plot is not None:
        plot_statistics([one for one in gathered if isinstance(one, Statistics)], Path(options.plot))
    show(lambda: found, lambda: _print(gathered))  # last: whoever reads it may stop


def _print(gathered: list[Statistics | TrajectoryStatistics]) -> None:
    for one in gathered:
        if isinstance(one, TrajectoryStatistics):
            print_trajectories(one)
        else:
            print_statistics(one)


def _gathered(path: str, max_rows: int | None) -> Statistics | TrajectoryStatistics:
    if is_trajectory_dataset(path):
        return gather_trajectories(path)
    return gather(path, read_questions(load_dataset(path)[0], max_rows))
