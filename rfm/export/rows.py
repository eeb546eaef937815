"""`rfm export rows`: a VQA dataset as the conversations of another framework, its clips as image or video files.

In: a dataset, read row by row. Out: a folder with the rows (`metadata.jsonl` for TRL, else `rows.jsonl`), its
frames, what the framework needs beside them, a card, and `export.json`. Rows are written in blocks to a hidden sibling
folder; the same command goes on after an interruption and gives the same bytes, whatever the number of workers. A block
has a receipt with the sizes of all its files: what a power cut has cut is found by them and made again. All is flushed
at once before the folder appears, whole. Rows that can't be written (unreadable frames, texts that the framework would
misread) go to `rejected.jsonl` with their reasons.

Cost: reading and encoding the frames; memory for one block of rows a worker.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rfm.batch.clips import ClipReference, Row, clips_of
from rfm.console import progress_bar
from rfm.errors import DataError
from rfm.export.clip_files import write_clip
from rfm.export.conversations import DATASET_INFO, RECORDS, ROWS_FILES, check_texts
from rfm.export.dataset_card import dataset_card
from rfm.export.options import RowsOptions
from rfm.files.documents.json_documents import LARGE, read_json, read_json_object
from rfm.files.ownership import MADE_FROM, Kind, Workplace, named, replaced
from rfm.files.staging import staged_file
from rfm.frames.reader import read_frames, resize_frames
from rfm.processes import worker_pool
from rfm.vqa.dataset import frames_root, load_dataset

logger = logging.getLogger(__name__)

RECORD = "export.json"
REJECTED = "rejected.jsonl"
EXPORT = Kind(
    "an export of rows",
    "output",
    (RECORD,),
    named(
        rf"{RECORD}|{REJECTED}|{MADE_FROM}|README\.md|dataset_info\.json|(metadata|rows)\.jsonl|"
        r"(frames|clips)/[0-9a-f]{2}/[0-9a-f]{32}\.\w+"
    ),
)
BLOCK = 64
"""Rows a block: what an interruption costs, and what a worker holds."""


class _Block(NamedTuple):
    """Rows `start` to `stop` of a dataset, to be written under `folder` for a dataset that appears at `output`."""

    options: RowsOptions
    root: Path
    folder: Path
    start: int
    stop: int

    def file(self, kind: str) -> Path:
        """The `rows`, the `rejected` or the `receipt` of the block."""
        return self.folder / f"block-{self.start:09d}.{kind}"


class _Receipt(NamedTuple):
    """What a block consists of."""

    rows: int
    rejected: int
    sizes: dict[str, int]
    """Bytes of its files, relative to the folder."""


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
    output.parent.mkdir(parents=True, exist_ok=True)
    plan = {**_plan(options, config.get("content_hash") or dataset._fingerprint), "rows": count}
    with replaced(output, EXPORT, overwrite=options.overwrite, plan=plan, whole=_is_whole) as work:
        if work.complete:
            logger.info("%s is complete", output)
        else:
            starts = range(0, count, BLOCK)
            blocks = [_Block(options, root, work.folder, start, min(start + BLOCK, count)) for start in starts]
            _write(blocks, _counted(work, blocks))
            _finish(work.folder, options, config, blocks)
            work.publish(flushed=False)
    record = read_json_object(output / RECORD)
    logger.info("%d rows for %s in %s, %d rejected", record["rows"], options.format, output, record["rejected"])
    return 1 if record["rejected"] > options.max_rejected else 0


def _plan(options: RowsOptions, content: str) -> dict[str, Any]:
    """Return all that determines the bytes of an export."""
    sizes = [options.resized_height, options.resized_width]
    place = str(Path(options.output).absolute()) if options.format == "ms-swift" else ""
    return {"content": content, "format": options.format, "frames": options.frames, "size": sizes, "place": place}


def _counted(work: Workplace, blocks: list[_Block]) -> set[int]:
    """Return where blocks start that an interrupted run has finished; clear away what is no part of one."""
    if not work.resumed:
        return set()
    logger.info("going on with the unfinished export in %s", work.folder)
    receipts = {block.start: receipt for block in blocks if (receipt := _receipt(block)) is not None}
    known = {name for receipt in receipts.values() for name in receipt.sizes}
    for path in (*work.folder.glob("*/??/*"), *work.folder.glob("block-*.rows"), *work.folder.glob("block-*.rejected")):
        if path.relative_to(work.folder).as_posix() not in known:
            path.unlink()
    return set(receipts)


def _receipt(block: _Block) -> _Receipt | None:
    """The receipt of a block, if all that it counts is there."""
    try:
        receipt = _Receipt(**read_json(block.file("receipt"), most=LARGE))
        whole = all((block.folder / name).stat().st_size == size for name, size in receipt.sizes.items())
    except (DataError, OSError, TypeError, AttributeError):
        return None
    return receipt if whole else None


def _write(blocks: list[_Block], counted: set[int]) -> None:
    """Write the blocks that are not there yet, under a progress bar of rows."""
    missing = [block for block in blocks if block.start not in counted]
    rows = blocks[-1].stop
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("export", total=rows, completed=rows - sum(block.stop - block.start for block in missing))
        finished: Iterable[int] = map(_write_block, missing)
        if (workers := blocks[0].options.num_workers) > 1:
            finished = stack.enter_context(worker_pool(workers)).map(_write_block, missing)
        for count in finished:
            bar.advance(task, count)


def _write_block(block: _Block) -> int:
    """Write one block; its receipt comes last and vouches for the rest."""
    dataset, _ = load_dataset(block.options.dataset, checked=True)
    writer = _Writer(block)
    lines: dict[str, list[dict[str, Any]]] = {"rows": [], "rejected": []}
    for number in range(block.start, block.stop):
        try:
            lines["rows"].append(writer.record(number, dataset[number]))
        except DataError as error:
            lines["rejected"].append({"row": number, "reason": str(error)})
    for kind, those in lines.items():
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in those)
        _write_text(block.file(kind), text)
    names = {block.file(kind).name for kind in lines}.union(*writer.known.values())
    sizes = {name: (block.folder / name).stat().st_size for name in sorted(names)}
    receipt = _Receipt(len(lines["rows"]), len(lines["rejected"]), sizes)
    _write_text(block.file("receipt"), json.dumps(receipt._asdict()) + "\n")
    return block.stop - block.start


def _write_text(path: Path, text: str) -> None:
    with staged_file(path, durable=False) as staged:
        staged.write_text(text, encoding="utf-8")


def _finish(folder: Path, options: RowsOptions, config: dict[str, Any], blocks: list[_Block]) -> None:
    """Join the blocks, and add what the framework needs."""
    rows, digest = _join(folder / ROWS_FILES[options.format], (block.file("rows") for block in blocks))
    rejected, _ = _join(folder / REJECTED, (block.file("rejected") for block in blocks))
    if rows + rejected != blocks[-1].stop:
        raise DataError(
            f"an export must hold each of the {blocks[-1].stop} rows or say why not, but {folder} holds {rows} and "
            f"{rejected} rejected: was it changed meanwhile? Add --overwrite to start anew"
        )
    if not rejected:
        (folder / REJECTED).unlink()
    files, size = _clips(folder)
    record = {
        "format": options.format,
        "frames": options.frames,
        "rows": rows,
        "rejected": rejected,
        "rows_hash": digest,
        "dataset_hash": config.get("content_hash"),
        "files": files,
        "bytes": size,
    }
    if options.format == "llamafactory":
        _write_text(folder / "dataset_info.json", json.dumps(DATASET_INFO, indent=2) + "\n")
    _write_text(folder / "README.md", dataset_card(record, options.dataset, config))
    for block in blocks:
        for kind in ("rows", "rejected", "receipt"):
            block.file(kind).unlink()
    _write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")


def _clips(folder: Path) -> tuple[int, int]:
    """The number of picture and video files, and their bytes in all."""
    sizes = [path.stat().st_size for path in folder.glob("*/??/*")]
    return len(sizes), sum(sizes)


def _is_whole(folder: Path) -> bool:
    """Whether an export has the rows and the files that its record counts."""
    try:
        record = read_json_object(folder / RECORD)
        rows = (folder / ROWS_FILES[record["format"]]).read_bytes()
        return hashlib.sha256(rows).hexdigest() == record["rows_hash"] and _clips(folder) == (
            record["files"],
            record["bytes"],
        )
    except (DataError, OSError, KeyError):
        return False


def _join(target: Path, parts: Iterator[Path]) -> tuple[int, str]:
    """Write the parts one after the other; return how many lines they have, and the sha256 of the whole."""
    digest, lines = hashlib.sha256(), 0
    with staged_file(target, durable=False) as staged, staged.open("wb") as sink:
        for part in parts:
            content = part.read_bytes()
            digest.update(content)
            lines += content.count(b"\n")
            sink.write(content)
    return lines, digest.hexdigest()
