"""`rfm generate --split train=0.8,val=0.1,test=0.1`: a split and one dataset a side, in one folder.

    <output_path>/splits.json, <output_path>/train, <output_path>/val, <output_path>/test

`--folds 5`: for each of five equal sides a dataset of it to judge on, and one of all the others to train on.

    <output_path>/splits.json, <output_path>/fold_1/train, <output_path>/fold_1/test, <output_path>/fold_2/train, …

The sides are written one after the other, each complete or not at all, in a folder that gets its place when all are
there: sides of two splits never lie beside each other. Where the folder has this split already, sides that are complete
are kept and others are made. Jobs with --shard share the folder from the start. Rows are shared in proportion to the
shares. Each side is what `--partition` draws from the file.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rfm.configs.experiment_configs import ExperimentConfig
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import Kind, Workplace, check_replaceable, empty, workplace
from rfm.generation.options import GenerateOptions
from rfm.generation.store import FILES, STATE_FILE, VQA_DATASET
from rfm.ingest.bundled import bundled_root
from rfm.sampling.quotas import largest_remainder
from rfm.splits.command import show_split
from rfm.splits.datasets import SplitSettings, make_split, split_settings
from rfm.splits.file import ALL_BUT, Split, read_split
from rfm.trajectories.catalog import load_catalog, resolve_root

SPLIT_FILE = "splits.json"


class Side(NamedTuple):
    """What to generate, and where it is going to be."""

    options: GenerateOptions
    output: Path


@contextmanager
def split_sides(options: GenerateOptions, config: ExperimentConfig) -> Iterator[list[Side]]:
    """Split `data.train_datasets`, write the file, set `data.split_file` to it; yield what to generate, a side each.

    What was generated within the block appears at its end.

    Raises:
        ConfigError: a setting is not valid, or asks for what the trajectories cannot give; another writer.
        DataError: the output has another split, or datasets that are no sides of this one.

    """
    if config.data.split_file:
        raise ConfigError(
            "`split` and `data.split_file` must not be given together; draw a side of that file by --partition"
        )
    settings = split_settings(
        (options.split or "") if options.folds is None else options.folds, options.split_by or "trajectory",
        config.data.seed, options.split_near_duplicates or "together",
    )  # fmt: skip
    parts = _parts(options, settings.shares)
    output = Path(options.output_path).resolve()
    _check_folder(output, tuple(settings.shares), overwrite=options.overwrite)
    if options.shard is not None:
        split = _make(config, settings)
        _share(output, split)
        yield _sides(options, config, parts, output, output)
        return
    with workplace(output, VQA_DATASET.option) as work:
        split = _make(config, settings)
        place = _begin(work, split, parts, overwrite=options.overwrite)
        yield _sides(options, config, parts, place, output)
        if place == work.folder:
            _publish(work, split)


def _make(config: ExperimentConfig, settings: SplitSettings) -> Split:
    root = resolve_root(config.data.datasets_root) or bundled_root()
    split = make_split(load_catalog(root, config.data.train_datasets), settings)
    show_split(split)
    return split


class _Part(NamedTuple):
    """One dataset to write: where, of which side, and how many rows; None where they follow from the trajectories."""

    place: str
    side: str
    rows: int | None


def _parts(options: GenerateOptions, shares: Mapping[str, float]) -> list[_Part]:
    rows = {} if options.num_epochs is not None else _rows(options, shares)
    if options.folds is None:
        return [_Part(side, side, rows.get(side)) for side in shares]
    parts = []
    for side in shares:
        held_out = rows.get(side)
        others = None if held_out is None else options.num_samples - held_out
        parts += [_Part(f"{side}/train", f"{ALL_BUT}{side}", others), _Part(f"{side}/test", side, held_out)]
    return parts


def _sides(
    options: GenerateOptions, config: ExperimentConfig, parts: Sequence[_Part], place: Path, output: Path
) -> list[Side]:
    config.data.split_file = str(place / SPLIT_FILE)
    common = dataclasses.replace(options, split=None, folds=None, split_by=None, split_near_duplicates=None)
    return [
        Side(
            dataclasses.replace(
                common,
                output_path=str(place / part.place),
                partition=part.side,
                num_samples=options.num_samples if part.rows is None else part.rows,
            ),
            output / part.place,
        )
        for part in parts
    ]


def _share(output: Path, split: Split) -> None:
    """Write the file where other jobs may do so at the same time: all must write the same."""
    _check_other(output, split)
    output.mkdir(parents=True, exist_ok=True)
    if not _is_of(output, split):
        split.write(output / SPLIT_FILE)
        _check_other(output, split)


def _begin(work: Workplace, split: Split, parts: Sequence[_Part], *, overwrite: bool) -> Path:
    """Return where the sides are made: in the folder itself, where it is of this split, else in a new one."""
    if not overwrite and _is_of(work.output, split):
        return work.output
    if not overwrite:
        _check_other(work.output, split)
        for place in (*(part.place for part in parts), *split.sides):  # the folder of a fold holds two of them
            check_replaceable(work.output / place, VQA_DATASET, overwrite=False)
    elif any((work.output / name).exists() for name in (SPLIT_FILE, *split.sides)):
        check_replaceable(work.output, SIDES, overwrite=True)
    if not _is_of(work.folder, split):
        if not overwrite and (work.folder / SPLIT_FILE).is_file():
            raise DataError(
                f"`output_path` {work.output} has an unfinished run of another split in {work.folder}; repeat that "
                "command to finish it, or add --overwrite to start anew"
            )
        empty(work.folder)
        split.write(work.folder / SPLIT_FILE)
    return work.folder


def _publish(work: Workplace, split: Split) -> None:
    """Let all appear in one step; in a folder that holds other things already, side by side, the file last."""
    if not work.output.is_dir() or SIDES.foreign(work.output) is None:
        work.publish()
        return
    for name in (*split.sides, SPLIT_FILE):
        (work.folder / name).rename(work.output / name)


def _own(folder: Path) -> Callable[[str], object]:
    """The file and the sides that it names."""
    try:
        sides = "|".join(map(re.escape, read_split(folder / SPLIT_FILE).sides))
    except (ConfigError, DataError):
        return lambda _: False
    return re.compile(rf"{re.escape(SPLIT_FILE)}|({sides})/((train|test)/)?({FILES})").fullmatch


SIDES = Kind("the sides of a split", VQA_DATASET.option, (SPLIT_FILE,), _own)


def _rows(options: GenerateOptions, shares: Mapping[str, float]) -> dict[str, int]:
    """The rows of each side."""
    counts = largest_remainder(options.num_samples, {("side", side): share for side, share in shares.items()})
    rows = {side: count for (_, side), count in counts.items()}
    for side, count in rows.items():
        if not count:
            raise ConfigError(
                f"`num_samples` must give every side of the split a row, but {options.num_samples} give `{side}` "
                f"({shares[side]:g}) none; ask for more"
            )
    return rows


def _check_folder(output: Path, sides: tuple[str, ...], *, overwrite: bool) -> None:
    """Refuse to mix the sides with something else."""
    if output.exists() and not output.is_dir():
        raise DataError(f"`output_path` must be a folder for the sides of --split, but {output} is a file")
    if (output / STATE_FILE).is_file():
        raise DataError(
            f"`output_path` must be a folder for the sides of --split, but {output} is a dataset itself; name another"
        )
    others = sorted(file.parent.name for file in output.glob(f"[!.]*/{STATE_FILE}") if file.parent.name not in sides)
    if others and not (overwrite and (output / SPLIT_FILE).exists()):
        raise DataError(
            f"`output_path` must hold no datasets but the sides of --split ({', '.join(sides)}), but {output} has "
            f"{', '.join(others)}; name another path, or remove them"
        )


def _is_of(folder: Path, split: Split) -> bool:
    file = folder / SPLIT_FILE
    return file.is_file() and file.read_bytes() == split.text.encode()


def _check_other(output: Path, split: Split) -> None:
    """Refuse a folder that has another split."""
    if (output / SPLIT_FILE).exists() and not _is_of(output, split):
        raise DataError(
            f"`output_path` {output} has another split in {SPLIT_FILE}; add --overwrite to replace it and its sides, "
            "or name another path"
        )
