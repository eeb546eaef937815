"""The command `rfm split`, and what is shown of a split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm.console import plain, results, show
from rfm.errors import ConfigError, DataError
from rfm.frames.alike.near_duplicates import MOST_BITS
from rfm.ingest.bundled import bundled_root
from rfm.splits.datasets import NEAR_DUPLICATES, SplitSettings, make_split, split_settings
from rfm.splits.deal import UNITS
from rfm.splits.file import Split
from rfm.table import FittedTable
from rfm.trajectories.catalog import load_catalog, resolve_root

logger = logging.getLogger(__name__)

_MOST_ROWS = 30
_DEVIATION = 0.01
"""Share of all trajectories by which a side may miss what it should have without a warning."""


@dataclass(frozen=True)
class SplitOptions:
    """Deal the trajectories of datasets to the sides of a split, for `rfm generate --partition`."""

    datasets: tuple[str, ...] = field(metadata={"help": "Dataset keys"})
    output: str = field(metadata={"help": "JSON file to write"})
    split: str | None = field(default=None, metadata={"help": "Sides and their shares, as in train=0.8,test=0.2"})
    folds: int | None = field(
        default=None, metadata={"help": "Instead: so many sides fold_1, fold_2, … of equal size, for cross-validation"}
    )
    by: str = field(default="trajectory", metadata={"help": "What is never divided", "choices": UNITS})
    datasets_root: str | None = field(
        default=None,
        metadata={"help": "Folder of the datasets (default: $RFM_PROCESSED_DATASETS_PATH, else the bundled videos)"},
    )
    seed: int = field(default=42, metadata={"help": "Another seed, another split"})
    near_duplicates: str = field(
        default="together",
        metadata={
            "help": "Episodes that show the same: keep on one side, report, or do not look (reads no frame)",
            "choices": NEAR_DUPLICATES,
        },
    )
    max_distance: int | None = field(
        default=None,
        metadata={"help": f"Bits of 192 up to which episodes are compared by their pictures (default: {MOST_BITS})"},
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace a file that exists"})

    def __post_init__(self) -> None:
        self.settings()
        if not self.datasets:
            raise ConfigError("`datasets` must name one dataset or more, but names none")

    def settings(self) -> SplitSettings:
        """Return the checked settings; raises ConfigError."""
        if (self.split is None) == (self.folds is None):
            raise ConfigError("one of `split` and `folds` must be given: --split train=0.8,test=0.2, or --folds 5")
        dealt = (self.split or "") if self.folds is None else self.folds
        return split_settings(dealt, self.by, self.seed, self.near_duplicates, self.max_distance)


def split(options: SplitOptions) -> Path:
    """Run `rfm split` and return the file.

    Raises:
        ConfigError: a setting is not valid, or asks for what the trajectories cannot give.
        DataError: the output exists, or trajectories cannot be read.

    """
    output = Path(options.output)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ConfigError(f"`output` must be a file in a folder that exists, but is {output}")
    if output.exists() and not options.overwrite:
        raise DataError(f"`output` {output} exists; add --overwrite to replace it, or name another file")
    root = resolve_root(options.datasets_root) or bundled_root()
    made = make_split(load_catalog(root, options.datasets), options.settings())
    made.write(output)
    logger.info("split written to %s", output)
    show_split(made)  # last: whoever reads it may stop
    return output


def show_split(made: Split) -> None:
    """Print the counts, and warn of what did not come out as asked."""
    show(lambda: made.content, lambda: results().print(_table(made)))
    for text in _warnings(made.content):
        logger.warning(text)


def _table(made: Split) -> FittedTable:
    """Counts, a column each side."""
    sides: Mapping[str, dict[str, Any]] = made.content["sides"]
    table = FittedTable()
    for head in ("", "trajectories"):
        table.add_column(head)
    for name, share in made.shares.items():
        table.add_column(f"{name} {share:g}", justify="right")
    table.add_row("all", "", *(str(one["trajectories"]) for one in sides.values()), end_section=True)
    for kind in ("quality", "task"):
        labels = sorted({label for one in sides.values() for label in one["counts"][kind]})
        for label in labels[:_MOST_ROWS]:
            table.add_row(kind, plain(label), *(str(one["counts"][kind].get(label, 0)) for one in sides.values()))
        if len(labels) > _MOST_ROWS:
            table.add_row(kind, f"… and {len(labels) - _MOST_ROWS} more, in the file", *("" for _ in sides))
        table.add_section()
    return table


def _warnings(content: dict[str, Any]) -> list[str]:
    sides, groups, near = content["sides"], content["groups"], content["near_duplicates"]
    allowed = max(1.0, _DEVIATION * sum(one["trajectories"] for one in sides.values()))
    texts = [
        f"side {name} has {one['trajectories']} trajectories instead of {one['wanted']:.1f}: groups are never divided, "
        f"and the largest of the {groups['count']} has {groups['largest']}"
        for name, one in sides.items()
        if abs(one["trajectories"] - one["wanted"]) > allowed
    ]
    if near["groups"]:
        texts.append(
            f"{sum(map(len, near['groups']))} episodes in {len(near['groups'])} groups show the same (listed in the "
            f"file under `near_duplicates`); {near['divided']} of the groups are on more than one side"
        )
    if near["not_compared"]:
        name, reason = next(iter(near["not_compared"].items()))
        texts.append(
            f"{len(near['not_compared'])} episodes could not be compared with the others; the first, {name}: {reason}"
        )
    return texts
