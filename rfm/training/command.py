"""`rfm train`: unsloth, where it is asked for, is imported before transformers, and then training begins."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rfm.training.checkpoints.folders import LATEST, held, latest_sealed, way_on
from rfm.training.options import TrainOptions


def train_command(options: TrainOptions) -> Path:
    """Run `rfm train`."""
    if options.use_unsloth:
        from rfm.model.unsloth_import import import_unsloth

        import_unsloth()
    from rfm.training.run import train

    return train(options)


def way_on_command(options: TrainOptions, command: Sequence[str]) -> str:
    """Return how to go on with an interrupted `command`: the whole of it where one process runs, else its new flags."""
    folder = Path(options.output_dir)
    if options.dry_run:
        return "a dry run leaves nothing behind: the same command starts anew"
    if "WORLD_SIZE" in os.environ:
        return way_on(folder)
    rest = _without(command, "--overwrite_output_dir", "--resume_from_checkpoint")
    if (last := latest_sealed(folder)) is not None:
        in_file = options.overwrite_output_dir and "--overwrite_output_dir" not in command
        not_that = ["--no_overwrite_output_dir"] if in_file else []
        return f"go on from {last.name} with\n{shlex.join([*rest, *not_that, '--resume_from_checkpoint', LATEST])}"
    if held(folder):
        return f"no checkpoint is whole yet; start anew with\n{shlex.join([*rest, '--overwrite_output_dir'])}"
    return f"nothing was saved yet; start anew with\n{shlex.join(rest)}"


def _without(command: Sequence[str], switch: str, option: str) -> list[str]:
    """Return a command without a switch and without an option and its value."""
    values = {number + 1 for number, (word, _) in enumerate(pairwise(command)) if word == option}
    return [
        word
        for number, word in enumerate(command)
        if number not in values and word not in (switch, option) and not word.startswith(f"{option}=")
    ]
