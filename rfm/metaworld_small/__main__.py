"""`python -m rfm.metaworld_small`: simulate the sets, train the model; the same command goes on after a stop."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

from rfm.metaworld_small.recipe import NAME, STEPS, release, train_model
from rfm.metaworld_small.sides import SETS, make_sets
from rfm.options import parse_options

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MetaworldSmallOptions:
    """Simulate the sets that `metaworld-small` is trained and judged on, and train it."""

    output_dir: str = field(default="./outputs/metaworld_small", metadata={"help": "Folder for sets and model"})
    sets: tuple[str, ...] = field(
        default=(), metadata={"help": f"Only simulate these, of {', '.join(one.name for one in SETS)}; train nothing"}
    )
    steps: int = field(default=STEPS, metadata={"help": "Optimizer steps in all; fewer is quicker and worse"})
    num_workers: int = field(default=1, metadata={"help": "Processes that simulate"})


def main(options: MetaworldSmallOptions) -> None:
    """Do what the options say."""
    folder = Path(options.output_dir)
    root = make_sets(folder / "sets", options.sets, options.num_workers)
    if not options.sets:
        final = train_model(root, folder, options.steps)
        logger.info("model: %s", release(final, folder / NAME))


if __name__ == "__main__":
    main(parse_options(MetaworldSmallOptions, "python -m rfm.metaworld_small", sys.argv[1:]))
