"""`rfm export rows`: a VQA dataset as the conversations of another framework, its clips as image or video files.

In: a dataset, read row by row. Out: a folder with the rows (`metadata.jsonl` for TRL, else `rows.jsonl`), its
frames, what the framework needs beside them, a card, and `export.json`. Rows are written in blocks to a hidden sibling
folder; the same command goes on after an interruption and gives the same bytes, whatever the number of workers. The
folder appears by a rename. Rows that can't be written (unreadable frames, texts that the framework would misread) go to
`rejected.jsonl` with their reasons.

Cost: reading and encoding the frames; memory for one block of rows a worker.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rfm.batch.clips import ClipReference, Row, clips_of
from rfm.console import progress_bar
from rfm.errors import ConfigError, DataError
from rfm.export.clip_files import write_clip
from rfm.export.conversations import DATASET_INFO, RECORDS, ROWS_FILES, check_texts
from rfm.export.dataset_card import dataset_card
from rfm.export.options import RowsOptions
from rfm.files.ownership import exclusive
from rfm.files.staging import remove_leftovers, staged_file
from rfm.frames.reader import read_frames, resize_frames
from rfm.processes import die_with_parent
from rfm.vqa.dataset import frames_root, load_dataset

logger = logging.getLogger(__name__)

RECORD = "export.json"
REJECTED = "rejected.jsonl"
_PLAN = "plan.json"
BLOCK = 64
"""Rows a block: what an interruption costs, and what a worker holds."""


class _Block(NamedTuple):
    """Rows `start` to `stop` of a dataset, to be written under `folder` for a dataset that appears at `output`."""

    options: RowsOptions
    root: Path
    folder: Path
    start: int
    stop: int

    @property
    def files(self) -> tuple[Path, Path]:
        """The rows and the rejections of the block."""
        name = f"block-{self.start:09d}"
        return self.folder / f"{name}.jsonl", self.folder / f"{name}.rejected"


@dataclass
class _Writer:
    """Writes the clips of rows; remembers those of its block."""

    block: _Block
    known: dict[ClipReference, tuple[str, ...]] = field(default_factory=dict)

    def record(self, number: int, row: Row) -> dict[str, Any]:
        """Write a row's clips and return its record; DataError where it can't be written."""
        check_texts(row)
        options = self.block.options
        clips = [self._files(reference) for reference in clips_of(row, number)]
        record = RECORDS[options.format](row, clips, Path(options.output))
        return {**record, "row": number, "sample_type": row["sample_type"]}

    def _files(self, reference: ClipReference) -> tuple[str, ...]:
        if reference not in self.known:
            options = self.block.options
            frames = read_frames(self.block.root, reference.path, reference.indices)
            if options.resized_height is not None and options.resized_width is not None:
                frames = resize_frames(frames, options.resized_height, options.resized_width)
            self.known[reference] = write_clip(self.block.folder, frames, options.frames)
        return self.known[reference]


def export_rows(options: RowsOptions) -> int:
    """Run `rfm export rows`; status 1 where more rows were rejected than `max_rejected`."""
    dataset, config = load_dataset(options.dataset)
    root = frames_root(options.datasets_root, options.dataset, config, dataset)
    count = min(len(dataset), options.max_samples or len(dataset))
    output = Path(options.output)
    _check_vacant(output, options.overwrite)
    partial = output.parent / f".{output.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    plan = {**_plan(options, config.get("content_hash") or dataset._fingerprint), "rows": count}
    with exclusive(partial, wait=False):
        _prepare(partial, plan)
        blocks = [_Block(options, root, partial, start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
        _write(blocks, count)
        rejected = _finish(partial, output, options, config, blocks)
    logger.info("%d rows for %s in %s, %d rejected", count - rejected, options.format, output, rejected)
    return 1 if rejected > options.max_rejected else 0


def _plan(options: RowsOptions, content: str) -> dict[str, Any]:
    """Return all that determines the bytes of an export."""
    sizes = [options.resized_height, options.resized_width]
    place = str(Path(options.output).absolute()) if options.format == "ms-swift" else ""
    return {"content": content, "format": options.format, "frames": options.frames, "size": sizes, "place": place}


def _prepare(partial: Path, plan: dict[str, Any]) -> None:
    """Keep what an interrupted run of the same plan has written; clear away anything else."""
    file = partial / _PLAN
    if file.is_file() and json.loads(file.read_text()) == plan:
        logger.info("going on with the unfinished export in %s", partial)
        for folder in (partial, *partial.glob("*/??")):
            remove_leftovers(folder)
        for leftover in partial.glob("*/??/*.partial"):
            leftover.unlink()
        return
    for path in partial.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with staged_file(file) as staged:
        staged.write_text(json.dumps(plan))


def _write(blocks: list[_Block], rows: int) -> None:
    """Write the blocks that are not there yet, under a progress bar of rows."""
    missing = [block for block in blocks if not block.files[0].exists()]
    done = rows - sum(block.stop - block.start for block in missing)
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("export", total=rows, completed=done)
        finished: Iterable[int] = map(_write_block, missing)
        workers = blocks[0].options.num_workers
        if workers > 1:
            context = multiprocessing.get_context("spawn")  # a forked process may inherit locks held by threads
            pool = stack.enter_context(ProcessPoolExecutor(workers, context, die_with_parent))
            finished = pool.map(_write_block, missing)
        for count in finished:
            bar.advance(task, count)


def _write_block(block: _Block) -> int:
    """Write one block; its rows come last and vouch for the rest."""
    dataset, _ = load_dataset(block.options.dataset, checked=True)
    writer = _Writer(block)
    rows, rejected = [], []
    for number in range(block.start, block.stop):
        try:
            rows.append(writer.record(number, dataset[number]))
        except DataError as error:
            rejected.append({"row": number, "reason": str(error)})
    for path, lines in zip(reversed(block.files), (rejected, rows), strict=True):
        with staged_file(path) as staged:
            staged.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return block.stop - block.start


def _finish(partial: Path, output: Path, options: RowsOptions, config: dict[str, Any], blocks: list[_Block]) -> int:
    """Join the blocks, add what the framework needs, and let the folder appear; return the number of rejected rows."""
    rows = partial / ROWS_FILES[options.format]
    digest = _join(rows, (block.files[0] for block in blocks))
    rejected = 0
    if any(block.files[1].stat().st_size for block in blocks):
        _join(partial / REJECTED, (block.files[1] for block in blocks))
        rejected = len((partial / REJECTED).read_text(encoding="utf-8").splitlines())
    record = {
        "format": options.format,
        "frames": options.frames,
        "rows": blocks[-1].stop - rejected,
        "rejected": rejected,
        "rows_hash": digest,
        "dataset_hash": config.get("content_hash"),
    }
    (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if options.format == "llamafactory":
        (partial / "dataset_info.json").write_text(json.dumps(DATASET_INFO, indent=2) + "\n", encoding="utf-8")
    (partial / "README.md").write_text(dataset_card(record, options.dataset, config), encoding="utf-8")
    for path in (*(file for block in blocks for file in block.files), partial / _PLAN):
        path.unlink()
    if output.exists():
        shutil.rmtree(output)
    partial.rename(output)
    return rejected


def _join(target: Path, parts: Iterator[Path]) -> str:
    """Write the parts one after the other and return the sha256 of the whole."""
    digest = hashlib.sha256()
    with staged_file(target) as staged, staged.open("wb") as sink:
        for part in parts:
            content = part.read_bytes()
            digest.update(content)
            sink.write(content)
    return digest.hexdigest()


def _check_vacant(output: Path, overwrite: bool) -> None:
    """Refuse to lose what is there: only an export is replaced, and only if that was asked for."""
    if not output.exists():
        return
    if not overwrite:
        raise ConfigError(f"`output` {output} exists; add --overwrite to replace it, or name another folder")
    if not (output / RECORD).is_file():
        raise ConfigError(f"`output` must be an export for --overwrite to replace it, but {output} is none")
