"""`python -m rfm.metaworld_small`: simulate the sets, train the model; the same command goes on after a stop."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

from rfm.cli import run_module
from rfm.errors import ConfigError
from rfm.metaworld_small.recipe import LESSONS, NAME, STEPS, release, train_model
from rfm.metaworld_small.sides import SETS, make_sets

logger = logging.getLogger(__name__)

_NAMES = tuple(one.name for one in SETS)


@dataclass(frozen=True)
class MetaworldSmallOptions:
    """Simulate the sets that `metaworld-small` is trained and judged on, and train it."""

    output_dir: str = field(default="./outputs/metaworld_small", metadata={"help": "Folder for sets and model"})
    sets: tuple[str, ...] = field(
        default=(), metadata={"help": "Only simulate these, and train nothing", "choices": _NAMES}
    )
    steps: int = field(default=STEPS, metadata={"help": "Optimizer steps in all; fewer is quicker and worse"})
    num_workers: int = field(default=1, metadata={"help": "Processes that simulate"})

    def __post_init__(self) -> None:
        if unknown := [name for name in self.sets if name not in _NAMES]:
            raise ConfigError(f"`sets` must be among {', '.join(_NAMES)}, but one is {unknown[0]!r}")
        if self.steps < len(LESSONS):
            raise ConfigError(f"`steps` must be at least {len(LESSONS)}, one a lesson, but is {self.steps}")


def main(options: MetaworldSmallOptions) -> None:
    """Simulate the sets, all where none is named, and then train and release the model."""
    folder = Path(options.output_dir)
    root = make_sets(folder / "sets", options.sets, options.num_workers)
    if not options.sets:
        final = train_model(root, folder, options.steps)
        logger.info("model: %s", release(final, folder / NAME))


if __name__ == "__main__":
    sys.exit(run_module(MetaworldSmallOptions, main, "python -m rfm.metaworld_small"))
