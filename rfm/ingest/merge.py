"""`rfm merge`: several processed datasets as one.

In: dataset folders, of any roots. Out: a dataset folder with all their rows, their `data_source` kept, and their
frames, as hard links where the file system has them and as copies where not. Ids must differ over all of them. Rows
whose frames can't be read go to `rejected.jsonl`. The dataset appears at the end; the same command goes on after an
interruption.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import exclusive
from rfm.files.staging import remove_leftovers, staged_file
from rfm.frames.npz import npz_frames_shape
from rfm.frames.reader import frames_file
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import PROCESSED, SCHEMA, read_columns, write_processed_dataset

logger = logging.getLogger(__name__)

REJECTED = "rejected.jsonl"


@dataclass(frozen=True)
class MergeDatasetsOptions:
    """Join processed datasets into one."""

    folders: tuple[str, ...] = field(metadata={"help": "Dataset folders, ROOT/KEY each", "positional": True})
    output: str = field(metadata={"help": "Dataset folder to write, ROOT/KEY"})
    copy: bool = field(default=False, metadata={"help": "Copy frames even where they could be linked"})
    overwrite: bool = field(default=False, metadata={"help": "Replace a dataset that exists"})


def merge_command(options: MergeDatasetsOptions) -> int:
    """Run `rfm merge`; status 1 where rows were rejected."""
    output = Path(options.output)
    sources = [Path(folder) for folder in options.folders]
    for folder in sources:
        if not (folder / PROCESSED).is_dir():
            raise ConfigError(f"`folders` must be dataset folders, but {folder} holds no `{PROCESSED}`")
        if folder.resolve() == output.resolve():
            raise ConfigError(f"`output` must be another folder than those that are joined, but is {folder}")
    if (output / PROCESSED).exists() and not options.overwrite:
        raise ConfigError(
            f"{output} must be free for a new dataset, but holds `{PROCESSED}`: use --overwrite to replace it"
        )
    (output / "frames").mkdir(parents=True, exist_ok=True)
    with exclusive(output, wait=False):
        remove_leftovers(output / "frames")
        kept, rejected = _join(sources, output, copy=options.copy)
        _finish(output, kept, rejected)
    logger.info("%d trajectories of %d datasets in %s, %d rejected", len(kept), len(sources), output, len(rejected))
    return 1 if rejected else 0


def _join(sources: list[Path], output: Path, *, copy: bool) -> tuple[list[Trajectory], list[dict[str, str]]]:
    kept: list[Trajectory] = []
    rejected: list[dict[str, str]] = []
    place: dict[str, Path] = {}
    for folder in sources:
        rows = read_columns(folder, SCHEMA.names).to_pylist()
        for row in tracked(rows, f"merge {folder.name}", len(rows)):
            if row["id"] in place:
                raise DataError(
                    f"`id` must differ in all datasets, but `{row['id']}` is in {place[row['id']]} and {folder}"
                )
            place[row["id"]] = folder
            row["data_source"] = (row["data_source"] or "").strip() or folder.name  # as the catalog reads it
            try:
                kept.append(_moved(row, folder.parent, output, len(kept), copy=copy))
            except DataError as error:
                rejected.append({"id": row["id"], "reason": str(error)})
    return kept, rejected


def _moved(row: dict[str, object], root: Path, output: Path, number: int, *, copy: bool) -> Trajectory:
    source = frames_file(root, str(row["frames"]))
    shape = npz_frames_shape(source)
    name = f"frames/{number:06d}_{source.name}"
    _place(source, output / name, copy=copy)
    known = {**row, "frames": f"{output.name}/{name}", "frames_shape": shape, "num_frames": shape[0]}
    known["is_robot"] = True if row["is_robot"] is None else row["is_robot"]
    for name in ("progress", "frame_times"):
        known[name] = None if row[name] is None else tuple(row[name])  # type: ignore[arg-type]
    return Trajectory(**known)  # type: ignore[arg-type]


def _place(source: Path, target: Path, *, copy: bool) -> None:
    with staged_file(target) as staged:
        if not copy:
            staged.unlink()
            try:
                os.link(source, staged)
            except OSError:  # another file system
                shutil.copyfile(source, staged)
        else:
            shutil.copyfile(source, staged)


def _finish(output: Path, kept: list[Trajectory], rejected: list[dict[str, str]]) -> None:
    named = {Path(row.frames).name for row in kept}
    for path in (output / "frames").iterdir():
        if path.name not in named:
            path.unlink()
    (output / REJECTED).unlink(missing_ok=True)
    if rejected:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in rejected)
        (output / REJECTED).write_text(text, encoding="utf-8")
    if not kept:
        raise DataError(
            f"`folders` must hold usable trajectories, but of {len(rejected)} none is; see {output / REJECTED}"
        )
    write_processed_dataset(output, kept)
