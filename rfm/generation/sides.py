"""`rfm generate --split train=0.8,val=0.1,test=0.1`: a split and one dataset a side, in one folder.

    <output_path>/splits.json, <output_path>/train, <output_path>/val, <output_path>/test

The sides are written one after the other, each complete or not at all; the same command given again keeps those that
are complete. Rows are shared in proportion to the shares. Each side is what `--partition` draws from the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from rfm.configs.experiment_configs import ExperimentConfig
from rfm.errors import ConfigError, DataError
from rfm.generation.options import GenerateOptions
from rfm.generation.store import STATE_FILE, check_vacant
from rfm.ingest.bundled import bundled_root
from rfm.sampling.quotas import largest_remainder
from rfm.splits.command import show_split
from rfm.splits.datasets import make_split, split_settings
from rfm.splits.file import Split
from rfm.trajectories.catalog import load_catalog, resolve_root

SPLIT_FILE = "splits.json"


def write_split(options: GenerateOptions, config: ExperimentConfig) -> list[GenerateOptions]:
    """Split `data.train_datasets`, write the file, set `data.split_file` to it; return what to generate, a side each.

    Raises:
        ConfigError: a setting is not valid, or asks for what the trajectories cannot give.
        DataError: the output has another split, or datasets that are no sides of this one.

    """
    if config.data.split_file:
        raise ConfigError(
            "`split` and `data.split_file` must not be given together; draw a side of that file by --partition"
        )
    settings = split_settings(
        options.split or "", options.split_by or "trajectory", config.data.seed,
        options.split_near_duplicates or "together",
    )  # fmt: skip
    rows = _rows(options, settings.shares)
    output = Path(options.output_path)
    _check_folder(output, tuple(settings.shares))
    root = resolve_root(config.data.datasets_root) or bundled_root()
    split = make_split(load_catalog(root, config.data.train_datasets), settings)
    file = (output / SPLIT_FILE).resolve()
    _check_sides(output, file, split, overwrite=options.overwrite)
    show_split(split)
    output.mkdir(parents=True, exist_ok=True)
    split.write(file)
    config.data.split_file = str(file)
    common = dataclasses.replace(options, split=None, split_by=None, split_near_duplicates=None)
    return [
        dataclasses.replace(
            common, output_path=str(output / side), partition=side, num_samples=rows.get(side, options.num_samples)
        )
        for side in split.sides
    ]


def _rows(options: GenerateOptions, shares: Mapping[str, float]) -> dict[str, int]:
    """The rows of each side; none where they follow from the trajectories."""
    if options.num_epochs is not None:
        return {}
    counts = largest_remainder(options.num_samples, {("side", side): share for side, share in shares.items()})
    rows = {side: count for (_, side), count in counts.items()}
    for side, count in rows.items():
        if not count:
            raise ConfigError(
                f"`num_samples` must give every side of the split a row, but {options.num_samples} give `{side}` "
                f"({shares[side]:g}) none; ask for more"
            )
    return rows


def _check_folder(output: Path, sides: tuple[str, ...]) -> None:
    """Refuse to mix the sides with something else."""
    if output.exists() and not output.is_dir():
        raise DataError(f"`output_path` must be a folder for the sides of --split, but {output} is a file")
    if (output / STATE_FILE).is_file():
        raise DataError(
            f"`output_path` must be a folder for the sides of --split, but {output} is a dataset itself; name another"
        )
    others = sorted(file.parent.name for file in output.glob(f"[!.]*/{STATE_FILE}") if file.parent.name not in sides)
    if others:
        raise DataError(
            f"`output_path` must hold no datasets but the sides of --split ({', '.join(sides)}), but {output} has "
            f"{', '.join(others)}; name another path, or remove them"
        )


def _check_sides(output: Path, file: Path, split: Split, *, overwrite: bool) -> None:
    """Sides that are there must be of this split: then they are kept, or refused by their own settings."""
    if overwrite or (file.is_file() and file.read_text(encoding="utf-8") == split.text):
        return
    if file.exists():
        raise DataError(
            f"`output_path` {output} has another split in {file.name}; add --overwrite to replace it and its sides, or "
            "name another path"
        )
    for side in split.sides:
        check_vacant(output / side, overwrite=False)
