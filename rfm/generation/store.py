"""A VQA dataset on disk: Arrow shards in the layout of `datasets.Dataset.save_to_disk`, written as rows are drawn.

While it is written the dataset lives in a hidden sibling folder, `.<name>.partial`, with a journal of the shards that
are complete and on the disk; the same command continues an interrupted run and yields the same bytes. A shard counts
when it is flushed, which happens while the next one is drawn: a power cut costs the last two. Whatever the journal
counts is opened before a run goes on, and made again where it is not what was counted. The final folder appears in one
step, complete or not at all.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from rfm.errors import DataError
from rfm.files.documents.json_documents import LARGE, read_json, read_json_object
from rfm.files.documents.regular import MissingFileError
from rfm.files.ownership import Kind, Workplace, empty, named
from rfm.files.staging import flush, remove_leftovers, staged_file
from rfm.trajectories.arrow_files import open_table, saved_files
from rfm.vqa.dataset import CONFIG_FILE
from rfm.vqa.schema import QUESTIONS_CARD, SCHEMA, STRIP

logger = logging.getLogger(__name__)

JOURNAL = "journal.json"
PARTS_OF = "parts-of-"
"""How folders of runs with --shard begin, see `rfm.generation.parts`."""
STATE_FILE = "state.json"
"""What makes a folder a saved dataset."""
_CARD = f"{re.escape(QUESTIONS_CARD)}|{re.escape(STRIP)}"
FILES = rf"{re.escape(CONFIG_FILE)}|state\.json|dataset_info\.json|data-\d+-of-\d+\.arrow|cache-\w+\.arrow|{_CARD}"
"""What lies in a dataset, with its card and what `datasets` keeps beside it of its own accord."""
VQA_DATASET = Kind("a VQA dataset", "output_path", (CONFIG_FILE,), named(FILES))


@dataclass
class Journal:
    """What is complete of an unfinished dataset."""

    plan: str
    """Hash of everything that determines the rows and their split into shards."""
    rows: int = 0
    sizes: list[int] = field(default_factory=list)
    """Bytes of each shard."""
    chunk_hashes: list[str] = field(default_factory=list)

    @staticmethod
    def read(file: Path) -> Journal:
        """Read a journal.

        Raises:
            MissingFileError: there is none.
            DataError: it is damaged.

        """
        try:
            journal = Journal(**read_json(file, most=LARGE))
            numbers_fit = all(type(number) is int and number >= 0 for number in (journal.rows, *journal.sizes))
            if numbers_fit and all(type(digest) is str for digest in [journal.plan, *journal.chunk_hashes]):
                return journal
        except MissingFileError:
            raise
        except (DataError, TypeError):  # no JSON, no object, or one of other keys
            pass
        raise DataError(
            f"{file} must be the journal of an unfinished run, but is damaged; remove {file.parent} to start anew"
        )

    def checked(self, shard_rows: int, path: Callable[[int], Path]) -> Journal:
        """Return a journal of the shards that are as they were counted, up to the first that is not."""
        for number, size in enumerate(self.sizes):
            rows = min(shard_rows, self.rows - number * shard_rows)
            if not _is_whole(path(number), size, rows):
                logger.warning(
                    "%s is not as it was written, after a power cut maybe: rows from %d on are drawn again",
                    path(number), number * shard_rows,
                )  # fmt: skip
                return Journal(self.plan, number * shard_rows, self.sizes[:number], self.chunk_hashes)
        return self


class ShardWriter:
    """Writes batches in shards of `shard_rows`, named by `path`; a shard counts in the journal when it is on the disk.

    The journal may be ahead of itself in `chunk_hashes`: a chunk has one hash, however often it is drawn.
    """

    def __init__(self, journal: Journal, file: Path, shard_rows: int, path: Callable[[int], Path]):
        self.journal, self._file, self._shard_rows, self._path = journal, file, shard_rows, path

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write batches that follow the rows already done; each shard appears whole."""
        with ThreadPoolExecutor(1) as flushing:
            under_way: Future[None] | None = None
            for number, shard in enumerate(in_shards(batches, self._shard_rows), len(self.journal.sizes)):
                path = self._path(number)
                with staged_file(path, durable=False) as staged:
                    write_arrow(staged, shard)
                if under_way is not None:
                    under_way.result()
                under_way = flushing.submit(self._count, path, sum(batch.num_rows for batch in shard))
            if under_way is not None:
                under_way.result()

    def save(self) -> None:
        """Write the journal."""
        write_json(self._file, vars(self.journal))

    def _count(self, path: Path, rows: int) -> None:
        flush(path)
        self.journal.rows += rows
        self.journal.sizes.append(path.stat().st_size)
        self.save()  # flushes the folder's names, the shard's too


class DatasetWriter:
    """Writes rows to a workplace in shards of `shard_rows`; `journal.rows` of them are done already."""

    def __init__(self, work: Workplace, *, plan: str, shard_rows: int, overwrite: bool):
        self._work = work
        self._partial = work.folder
        self._shard_rows = shard_rows
        self.journal = self._open_journal(plan, overwrite=overwrite)
        self._shards = ShardWriter(self.journal, self._partial / JOURNAL, shard_rows, self._shard)

    @property
    def chunk_hashes(self) -> list[str]:
        """Hashes of the chunks whose rows have been handed over, in order; filled by the caller."""
        return self.journal.chunk_hashes

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write batches that follow the rows already done."""
        self._shards.write(batches)

    def finish(self, config: dict[str, Any]) -> None:
        """Add what `load_from_disk` needs and `generation_config.json`, and let the dataset appear."""
        names = file_names(len(self.journal.sizes))
        for number, name in enumerate(names):
            self._shard(number).rename(self._partial / name)
        write_description(self._partial, names, config)
        (self._partial / JOURNAL).unlink()
        self._work.publish()

    def _shard(self, number: int) -> Path:
        """Where a shard is: under its last name, if an earlier run was killed when it had given it that."""
        renamed = next(self._partial.glob(f"data-{number:05d}-of-*.arrow"), None)
        return renamed or self._partial / f"shard-{number:05d}.arrow"

    def _open_journal(self, plan: str, *, overwrite: bool) -> Journal:
        file, output = self._partial / JOURNAL, self._work.output
        if file.is_file():
            journal = Journal.read(file) if not overwrite else _read_if_sound(file)
            if journal is not None and journal.plan == plan:
                remove_leftovers(self._partial)
                return journal.checked(self._shard_rows, self._shard)
            if not overwrite:
                raise DataError(
                    f"`output_path` {output} has an unfinished run of other settings or data in {self._partial}; "
                    "repeat that command to finish it, or add --overwrite to start anew"
                )
        if not overwrite and any(self._partial.glob(f"{PARTS_OF}*")):
            raise DataError(
                f"`output_path` {output} has an unfinished run with --shard in {self._partial}; "
                "finish it, or add --overwrite to start anew"
            )
        empty(self._partial)
        return Journal(plan)


def is_complete(output: Path, config: dict[str, Any]) -> bool:
    """Return whether `output` is the dataset of this configuration; the content hash need not be known yet."""
    try:
        there = read_json_object(output / CONFIG_FILE)
        wanted = json.loads(json.dumps(config))
        if {**there, "content_hash": None} != {**wanted, "content_hash": None}:
            return False
        return sum(open_table(file).num_rows for file in saved_files(output)) == config["num_samples"]
    except DataError:
        return False


def in_shards(batches: Iterable[pa.RecordBatch], shard_rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Yield the batches cut and gathered into lists of `shard_rows` rows each, the last one the rest."""
    held: list[pa.RecordBatch] = []
    room = shard_rows
    for batch in batches:
        while batch.num_rows:
            held.append(batch.slice(0, room))
            room -= held[-1].num_rows
            batch = batch.slice(held[-1].num_rows)
            if room == 0:
                yield held
                held, room = [], shard_rows
    if held:
        yield held


def write_arrow(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write the rows of one file of a dataset."""
    schema = _stored_schema()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        for batch in batches:
            stream.write_batch(batch.replace_schema_metadata(schema.metadata))


@cache
def _stored_schema() -> pa.Schema:
    """Return the schema with what `datasets` notes in it about its types."""
    return SCHEMA.with_metadata(datasets.Features.from_arrow_schema(SCHEMA).arrow_schema.metadata)


def write_description(folder: Path, names: list[str], config: dict[str, Any]) -> None:
    """Write what `load_from_disk` needs beside the rows, and `generation_config.json`."""
    features = datasets.Features.from_arrow_schema(SCHEMA)
    datasets.DatasetInfo(features=features).write_to_directory(str(folder))
    flush(folder / "dataset_info.json")
    write_json(folder / STATE_FILE, _state(names, config["content_hash"]))
    write_json(folder / CONFIG_FILE, config)


def file_names(count: int) -> list[str]:
    """Return the names of a dataset's `count` files of rows."""
    return [f"data-{i:05d}-of-{count:05d}.arrow" for i in range(count)]


def _is_whole(shard: Path, size: int, rows: int) -> bool:
    try:
        return shard.stat().st_size == size and open_table(shard).num_rows == rows
    except (OSError, DataError):
        return False


def _read_if_sound(file: Path) -> Journal | None:
    try:
        return Journal.read(file)
    except DataError:
        return None


def _state(names: list[str], content_hash: str) -> dict[str, Any]:
    return {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": content_hash[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that appears whole."""
    with staged_file(path) as staged:
        staged.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
