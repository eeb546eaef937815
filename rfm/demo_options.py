"""The flags of `rfm demo`, which need no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from rfm.errors import ConfigError

LEAST_STEPS = 5
"""One a lesson."""


@dataclass(frozen=True)
class DemoOptions:
    """Ingest, generate, train, evaluate and draw with a tiny model, on the bundled robot videos, in minutes."""

    output_dir: str = field(default="./outputs/demo", metadata={"help": "Folder for datasets, model, results and plot"})
    steps: int = field(default=5650, metadata={"help": "Optimizer steps in all; fewer is quicker and worse"})

    def __post_init__(self) -> None:
        if self.steps < LEAST_STEPS:
            raise ConfigError(f"`steps` must be at least {LEAST_STEPS}, one a lesson, but is {self.steps}")
