"""A VQA dataset on disk: Arrow shards in the layout of `datasets.Dataset.save_to_disk`, written as rows are drawn.

While it is written the dataset lives in a hidden sibling folder, `.<name>.partial`, with a journal of the shards that
are complete; the same command continues an interrupted run and yields the same bytes. The final folder appears by a
rename, complete or not at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from rfm.errors import DataError
from rfm.files.documents import LARGE, read_json
from rfm.files.ownership import exclusive
from rfm.files.regular import MissingFileError
from rfm.vqa.dataset import CONFIG_FILE
from rfm.vqa.schema import SCHEMA

PARTS_OF = "parts-of-"
"""How folders of runs with --shard begin, see `rfm.generation.parts`."""
STATE_FILE = "state.json"
"""What makes a folder a saved dataset."""


@dataclass
class Journal:
    """What is complete of an unfinished dataset."""

    plan: str
    """Hash of everything that determines the rows and their split into shards."""
    shards: int = 0
    rows: int = 0
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
            numbers_fit = all(type(number) is int and number >= 0 for number in (journal.shards, journal.rows))
            if numbers_fit and all(type(digest) is str for digest in [journal.plan, *journal.chunk_hashes]):
                return journal
        except MissingFileError:
            raise
        except (DataError, TypeError):  # no JSON, no object, or one of other keys
            pass
        raise DataError(
            f"{file} must be the journal of an unfinished run, but is damaged; remove {file.parent} to start anew"
        )


class DatasetWriter:
    """Writes rows to `output` in shards of `shard_rows`; `journal.rows` of them are done already."""

    def __init__(self, output: Path, *, plan: str, shard_rows: int, overwrite: bool):
        self.output = output
        self.partial = partial_folder(output)
        self._shard_rows = shard_rows
        self._overwrite = overwrite
        check_vacant(output, overwrite)
        self.journal = self._open_journal(plan)

    @property
    def chunk_hashes(self) -> list[str]:
        """Hashes of the chunks whose rows have been handed over, in order; filled by the caller."""
        return self.journal.chunk_hashes

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write batches that follow the rows already done; each shard appears whole."""
        for shard in in_shards(batches, self._shard_rows):
            self._write_shard(shard)

    def finish(self, config: dict[str, Any]) -> None:
        """Add what `load_from_disk` needs and `generation_config.json`, and let the dataset appear."""
        names = file_names(self.journal.shards)
        for number, name in enumerate(names):
            if not (self.partial / name).exists():  # it does if an earlier run was killed here
                (self.partial / _shard_name(number)).rename(self.partial / name)
        write_description(self.partial, names, config)
        (self.partial / "journal.json").unlink()
        if self.output.exists():
            shutil.rmtree(self.output)
        self.partial.rename(self.output)

    def _open_journal(self, plan: str) -> Journal:
        file = self.partial / "journal.json"
        if file.is_file() and not self._overwrite:
            journal = Journal.read(file)
            if journal.plan != plan:
                raise DataError(
                    f"`output_path` {self.output} has an unfinished run of other settings or data in {self.partial}; "
                    "repeat that command to finish it, or add --overwrite to start anew"
                )
            self._check_shards(journal)
            return journal
        if not self._overwrite and any(self.partial.glob(f"{PARTS_OF}*")):
            raise DataError(
                f"`output_path` {self.output} has an unfinished run with --shard in {self.partial}; "
                "finish it, or add --overwrite to start anew"
            )
        self.partial.mkdir(parents=True, exist_ok=True)
        for path in self.partial.iterdir():  # the folder itself stays: its lock belongs to it
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return Journal(plan)

    def _check_shards(self, journal: Journal) -> None:
        """Refuse to go on where a complete shard has gone."""
        there = {path.name.split("-")[1].removesuffix(".arrow") for path in self.partial.glob("*-*.arrow")}
        lacking = [number for number in range(journal.shards) if f"{number:05d}" not in there]
        if lacking:
            raise DataError(
                f"{self.partial} must hold the {journal.shards} shards of its journal, but lacks "
                f"{_shard_name(lacking[0])}; add --overwrite to start anew"
            )

    def _write_shard(self, batches: list[pa.RecordBatch]) -> None:
        temporary = self.partial / "shard.tmp"
        write_arrow(temporary, batches)
        temporary.replace(self.partial / _shard_name(self.journal.shards))
        self.journal.shards += 1
        self.journal.rows += sum(batch.num_rows for batch in batches)
        write_json(self.partial / "journal.json", vars(self.journal))


def partial_folder(output: Path) -> Path:
    """Return where a dataset is while it is written."""
    return output.parent / f".{output.name}.partial"


@contextmanager
def one_writer(output: Path, *, overwrite: bool) -> Iterator[None]:
    """Hold the lock of the unfinished dataset; ConfigError where another process writes it.

    Two would take turns in one journal and one file, and what came out would be neither's rows.
    """
    check_vacant(output, overwrite)
    partial = partial_folder(output)
    partial.mkdir(parents=True, exist_ok=True)
    with exclusive(partial, wait=False):
        yield


def check_vacant(output: Path, overwrite: bool) -> None:
    """Refuse to lose what is there: only a saved dataset is replaced, and only if that was asked for."""
    if not output.exists():
        return
    if not overwrite:
        raise DataError(f"`output_path` {output} exists; add --overwrite to replace it, or name another path")
    if not (output / STATE_FILE).is_file() and not (output.is_dir() and not any(output.iterdir())):
        raise DataError(
            f"`output_path` must be a dataset for --overwrite to replace it, but {output} is none; name another path"
        )


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
    write_json(folder / STATE_FILE, _state(names, config["content_hash"]))
    write_json(folder / CONFIG_FILE, config)


def file_names(count: int) -> list[str]:
    """Return the names of a dataset's `count` files of rows."""
    return [f"data-{i:05d}-of-{count:05d}.arrow" for i in range(count)]


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.arrow"


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
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    temporary.replace(path)
