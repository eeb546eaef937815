"""`rfm merge`: several processed datasets as one.

In: dataset folders, of any roots. Out: a dataset folder with all their rows, their `data_source` kept, and their
frames, as hard links where the file system has them and as copies where not; nothing is ever written or changed through
a link. Rows about one file stay rows about one file, and files with the same bytes become one. Ids must differ over all
of them. Rows whose frames can't be read go to `rejected.jsonl`. The dataset appears whole at the end, until then what
was there before is as it was; the same command goes on after an interruption.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import Workplace, replaced
from rfm.files.staging import staged_file
from rfm.frames.npz.file import npz_frames_shape
from rfm.frames.reader import frames_file
from rfm.ingest.reading import file_identity
from rfm.ingest.same_frames import first_alike
from rfm.ingest.vacancy import REJECTED, TRAJECTORIES, is_whole, may_replace, read_rejected, write_rejected
from rfm.trajectories.other_tasks import from_column
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import PROCESSED, SCHEMA, read_columns, write_processed_dataset

logger = logging.getLogger(__name__)

Rows = list[tuple[Path, list[dict[str, Any]]]]
"""The folders of the datasets, and their rows."""


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
    rows = [(folder, read_columns(folder, SCHEMA.names).to_pylist()) for folder in sources]
    _check_ids(rows)
    output.parent.mkdir(parents=True, exist_ok=True)
    plan = {"joined": _fingerprint(rows, copy=options.copy)}
    overwrite = may_replace(output, overwrite=options.overwrite)
    with replaced(output, TRAJECTORIES, overwrite=overwrite, plan=plan, whole=is_whole) as work:
        if not work.complete:
            (work.folder / "frames").mkdir(exist_ok=True)
            kept, rejected = _join(rows, work, copy=options.copy)
            _finish(work, kept, rejected)
    joined, left_out = len(read_columns(output, ("id",))), len(read_rejected(output))
    logger.info("%d trajectories of %d datasets in %s, %d rejected", joined, len(sources), output, left_out)
    return 1 if left_out else 0


def _check_ids(rows: Rows) -> None:
    place: dict[str, Path] = {}
    for folder, those in rows:
        for row in those:
            if row["id"] in place:
                raise DataError(
                    f"`id` must differ in all datasets, but `{row['id']}` is in {place[row['id']]} and {folder}"
                )
            place[row["id"]] = folder


def _fingerprint(rows: Rows, *, copy: bool) -> str:
    """A hash of all rows and of their files' sizes and times of change."""
    digest = hashlib.sha256(repr(copy).encode())
    for folder, those in rows:
        for row in those:
            digest.update(repr((*row.values(), file_identity(folder.parent / str(row["frames"])))).encode())
    return digest.hexdigest()


def _join(rows: Rows, work: Workplace, *, copy: bool) -> tuple[list[Trajectory], list[dict[str, str]]]:
    kept: list[Trajectory] = []
    rejected: list[dict[str, str]] = []
    for folder, those in rows:
        for row in tracked(those, f"merge {folder.name}", len(those)):
            row["data_source"] = (row["data_source"] or "").strip() or folder.name  # as the catalog reads it
            try:
                kept.append(_moved(row, folder.parent, work, len(kept), copy=copy))
            except DataError as error:
                rejected.append({"id": row["id"], "reason": str(error)})
    return kept, rejected


def _moved(row: dict[str, Any], root: Path, work: Workplace, number: int, *, copy: bool) -> Trajectory:
    source = frames_file(root, str(row["frames"]))
    shape = npz_frames_shape(source)
    name = f"frames/{number:06d}_{source.name}"
    _place(source, work.folder / name, copy=copy)
    known = {**row, "frames": f"{work.output.name}/{name}", "frames_shape": shape, "num_frames": shape[0]}
    known["is_robot"] = True if row["is_robot"] is None else row["is_robot"]
    for name in ("progress", "frame_times"):
        known[name] = None if row[name] is None else tuple(row[name])  # type: ignore[arg-type]
    known["progress_by_task"] = from_column(row["progress_by_task"])
    return Trajectory(**known)  # type: ignore[arg-type]


def _place(source: Path, target: Path, *, copy: bool) -> None:
    """Link or copy the file, with its rights and no more, unless an interrupted run has done so."""
    status = source.stat()
    if target.is_file() and target.stat().st_size == status.st_size:
        return
    with staged_file(target, mode=status.st_mode & 0o666) as staged:
        if copy or not _linked(source, staged):
            shutil.copyfile(source, staged)


def _linked(source: Path, target: Path) -> bool:
    """Put a link to the source in the place of a new file; False on another file system, or for another user's file."""
    link = target.with_name(f"{target.name}.link")
    try:
        os.link(source, link)
    except OSError:
        return False
    link.replace(target)
    return True


def _finish(work: Workplace, kept: list[Trajectory], rejected: list[dict[str, str]]) -> None:
    frames = work.folder / "frames"
    shown = first_alike([frames / Path(row.frames).name for row in kept])
    kept = [
        replace(row, frames=f"{work.output.name}/frames/{file.name}") for row, file in zip(kept, shown, strict=True)
    ]
    named = {file.name for file in shown}
    for path in frames.iterdir():
        if path.name not in named:
            path.unlink()
    write_rejected(work.folder, rejected)
    if not kept:
        raise DataError(
            f"`folders` must hold usable trajectories, but of {len(rejected)} none is; see {work.folder / REJECTED}"
        )
    write_processed_dataset(work.folder, kept)
    work.publish()
