"""One dataset written by several jobs, `--shard 1/8` to `--shard 8/8`, in any order and at the same time.

    .<name>.partial/parts-of-8-<plan>/part-3/   file-00007.arrow …, journal.json

Each job draws the rows of its own files and journals them, so it can be killed and repeated. Whoever finds all parts
done puts the dataset together beside its place, from hard links, and renames it: of several that try, one succeeds and
the others find it there. No lock is needed, which network file systems have or have not; no step changes a file that
another job could be reading. Rows, files and content hash are those of one run without shards.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from rfm.errors import ConfigError, DataError
from rfm.files.documents.regular import MissingFileError
from rfm.files.ownership import partial_of
from rfm.files.staging import flush
from rfm.generation.store import JOURNAL, PARTS_OF, Journal, ShardWriter, file_names, is_complete, write_description


class Part(NamedTuple):
    """Part `number` (from 1) of `of`."""

    number: int
    of: int

    @staticmethod
    def parse(text: str) -> Part:
        """Read `3/8`."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise ConfigError(f"`shard` must be I/N with 1 <= I <= N, as in 3/8, but is {text!r}")
        return Part(int(number), int(of))

    def share(self, count: int) -> range:
        """Return this part's numbers of `count` things: runs as equal as can be."""
        return range((self.number - 1) * count // self.of, self.number * count // self.of)


@dataclass(frozen=True)
class _Layout:
    """Where the files of a run lie."""

    output: Path
    plan: str
    parts: int

    @property
    def partial(self) -> Path:
        return partial_of(self.output)

    @property
    def run(self) -> Path:
        return self.partial / f"{PARTS_OF}{self.parts}-{self.plan[:16]}"

    def part(self, number: int) -> Path:
        return self.run / f"part-{number}"

    def file(self, part: int, number: int) -> Path:
        return self.part(part) / f"file-{number:05d}.arrow"


class PartWriter:
    """Writes the rows of one part, `start` to `stop` - 1 of `total`; `journal.rows` of them are done already."""

    def __init__(self, output: Path, part: Part, *, plan: str, shard_rows: int, total: int):
        self._files = -(-total // shard_rows)
        self._layout = _Layout(output, plan, part.of)
        self._own = part.share(self._files)
        self._shard_rows = shard_rows
        folder = self._layout.part(part.number)
        self.start, self.stop = (min(edge * shard_rows, total) for edge in (self._own.start, self._own.stop))
        self._check_others()
        folder.mkdir(parents=True, exist_ok=True)
        self.journal = self._read(part.number) or Journal(plan)
        self._shards = ShardWriter(self.journal, folder / JOURNAL, shard_rows, self._path(part.number))

    @property
    def chunk_hashes(self) -> list[str]:
        """Hashes of the chunks that begin in this part and were handed over, in order; filled by the caller."""
        return self.journal.chunk_hashes

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write batches that follow the rows already done; each file appears whole."""
        self._shards.write(batches)
        if not self._own:
            self._shards.save()

    def finish(self, config: dict[str, Any]) -> list[int]:
        """Put the dataset together if all parts are done; return the numbers of those that are not.

        Raises FileNotFoundError where another job has cleaned up meanwhile.
        """
        journals = {number: self._read(number) for number in range(1, self._layout.parts + 1)}
        missing = [
            number
            for number, journal in journals.items()
            if journal is None or len(journal.sizes) < len(Part(number, self._layout.parts).share(self._files))
        ]
        if not missing:
            hashes = [digest for journal in journals.values() if journal for digest in journal.chunk_hashes]
            content = {**config, "content_hash": hashlib.sha256("".join(hashes).encode()).hexdigest()}
            self._assemble(content)
        return missing

    def _assemble(self, config: dict[str, Any]) -> None:
        output, names = self._layout.output, file_names(self._files)
        staged = output.parent / f".{output.name}.{uuid.uuid4().hex}.tmp"
        staged.mkdir()
        try:
            for part in range(1, self._layout.parts + 1):
                for number in Part(part, self._layout.parts).share(self._files):
                    _link(self._layout.file(part, number), staged / names[number])
            write_description(staged, names, config)
            flush(staged)
            staged.rename(output)
            flush(output.parent)
        except OSError as error:
            shutil.rmtree(staged, ignore_errors=True)
            if not is_complete(output, config):
                raise DataError(
                    f"`output_path` {output} can't be put together from {self._layout.run}: {error}; repeat any --shard"
                ) from error

    def clean_up(self) -> None:
        """Remove what this run, complete now, and assemblers that were killed have left."""
        output = self._layout.output
        for leftover in [self._layout.run, *output.parent.glob(f".{output.name}.{'[0-9a-f]' * 32}.tmp")]:
            shutil.rmtree(leftover, ignore_errors=True)
        if self._layout.partial.is_dir() and not any(self._layout.partial.iterdir()):
            shutil.rmtree(self._layout.partial, ignore_errors=True)

    def _check_others(self) -> None:
        """Refuse to go on beside an unfinished run of other settings, data or number of parts."""
        partial = self._layout.partial
        if partial.is_dir() and any(entry != self._layout.run for entry in partial.iterdir()):
            raise DataError(
                f"`output_path` {self._layout.output} has an unfinished run of other settings, data or number of "
                f"shards in {partial}; repeat that command to finish it, or remove that folder to start anew"
            )

    def _path(self, part: int) -> Callable[[int], Path]:
        """Where the files of a part lie, by their number in it."""
        first = Part(part, self._layout.parts).share(self._files).start
        return lambda number: self._layout.file(part, first + number)

    def _read(self, part: int) -> Journal | None:
        try:
            journal = Journal.read(self._layout.part(part) / JOURNAL)
        except MissingFileError:
            return None
        return journal.checked(self._shard_rows, self._path(part))


def _link(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(file, name)
