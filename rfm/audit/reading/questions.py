"""A VQA dataset as arrays: what the audit looks at, whoever wrote it.

Columns beyond `sample_type`, `prompt` and `answer` may be missing; `Questions.lacking` names those that are, and a
check that needs one says so. Texts are kept once and referred to by code. About 200 bytes a row of 16 frames a clip.

Shape legend: n rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from jaxtyping import Bool, Float64, Int8, Int32, Int64

from rfm.audit.reading.ragged import Ragged, read_ragged
from rfm.errors import DataError
from rfm.vqa.answers import read_answer
from rfm.vqa.schema import PREFIXES

SAMPLE_TYPES = ("preference", "progress", "similarity")
"""Of the columns of a clip: a progress question's, the two compared ones, a similarity question's reference."""

_TASK_MARK = "Task:"
_SAMPLE_SEED = 0


@dataclass(frozen=True)
class Words:
    """A text column: the distinct texts, and each row's index among them (-1: null)."""

    distinct: tuple[str, ...]
    code: Int32[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.code)

    def map(self, values: np.ndarray, missing: float | bool) -> np.ndarray:
        """Return `values`, one for each distinct text, row by row; `missing` for null."""
        return np.append(values, np.array(missing, values.dtype))[self.code]

    def counts(self, rows: Bool[np.ndarray, " n"]) -> dict[str, int]:
        """Return how often each text occurs among `rows`, most frequent first; null counts as ''."""
        number = np.bincount(self.code[rows] + 1, minlength=len(self.distinct) + 1)
        order = np.argsort(-number, kind="stable")
        return {("", *self.distinct)[at]: int(number[at]) for at in order if number[at]}


@dataclass(frozen=True)
class Clip:
    """One clip of every row; a row without it has path -1 and no frames."""

    path: Int32[np.ndarray, " n"]
    """Code of `Questions.paths`."""
    frames: Ragged
    """Shown frames, 0-based, in order."""
    shape: Ragged | None
    """(T, H, W, C)."""
    trajectory_id: Words | None
    end_progress: Float64[np.ndarray, " n"] | None

    @property
    def present(self) -> Bool[np.ndarray, " n"]:
        """Rows that have this clip, with frames."""
        return (self.path >= 0) & (self.frames.lengths > 0)

    @cached_property
    def distinct(self) -> Int64[np.ndarray, " n"]:
        """How many different frames it shows."""
        return self.frames.distinct()


@dataclass(frozen=True)
class Questions:
    """n rows of a VQA dataset, all or a sample."""

    total: int
    """Rows of the dataset; more than n where a sample was taken."""
    row: Int64[np.ndarray, " n"]
    """Each row's number in the dataset."""
    sample_type: Words
    prompt: Words
    answer: Float64[np.ndarray, " n"]
    """NaN where it is no whole number."""
    strategy: Words
    task: Words
    """The instruction: column `task`, else what follows the last "Task:" of the prompt; null where there is neither."""
    source: Words | None
    chosen_is_first: Int8[np.ndarray, " n"] | None
    """1, 0, or -1 for null."""
    instruction_kind: Words | None
    targets: Ragged | None
    """`target_progress`, NaN where null."""
    paths: tuple[str, ...]
    """The distinct frame files, relative to the datasets root."""
    clips: Mapping[str, Clip]
    """By prefix."""
    lacking: tuple[str, ...]
    """Columns of the format that the dataset does not have."""

    def __len__(self) -> int:
        return len(self.row)

    def of_type(self, *names: str) -> Bool[np.ndarray, " n"]:
        """Return which rows have one of these sample types."""
        return self.sample_type.map(np.array([name in names for name in self.sample_type.distinct], bool), False)

    @cached_property
    def is_pair(self) -> Bool[np.ndarray, " n"]:
        """Rows that compare two clips."""
        return self.of_type("preference", "similarity")

    @cached_property
    def is_score(self) -> Bool[np.ndarray, " n"]:
        """Rows that ask for a progress."""
        return self.of_type("progress")

    def strategies(self, kind: str) -> dict[str, Bool[np.ndarray, " n"]]:
        """Return the rows of each strategy of a sample type, most frequent strategy first."""
        rows = self.of_type(kind)
        code = {name: at for at, name in enumerate(self.strategy.distinct)} | {"": -1}
        return {name: rows & (self.strategy.code == code[name]) for name in self.strategy.counts(rows)}


def read_questions(dataset: Dataset, max_rows: int | None = None) -> Questions:
    """Return the rows, or `max_rows` of them drawn evenly with a fixed seed, in their order.

    Raises:
        DataError: a column has values of another kind than the format's.

    """
    held = [name for name in _COLUMNS if name in dataset.column_names]
    total = len(dataset)
    row = np.arange(total)
    if max_rows is not None and max_rows < total:
        row = np.sort(np.random.default_rng(_SAMPLE_SEED).choice(row, max_rows, replace=False))
        dataset = dataset.select(row)
    table = dataset.select_columns(held).with_format("arrow")[:]
    columns = _Columns(table)
    prompt = columns.words("prompt")
    paths, path_codes = columns.paths()
    return Questions(
        total=total,
        row=row,
        sample_type=columns.words("sample_type"),
        prompt=prompt,
        answer=_numbers(columns.words("answer")),
        strategy=columns.words("data_gen_strategy"),
        task=columns.words("task") if "task" in held else _tasks_of(prompt),
        source=columns.words("data_source") if "data_source" in held else None,
        chosen_is_first=columns.booleans("chosen_is_first"),
        instruction_kind=columns.words("instruction_kind") if "instruction_kind" in held else None,
        targets=columns.lists("target_progress", pa.float64()),
        paths=paths,
        clips={prefix: columns.clip(prefix, path_codes[prefix]) for prefix in PREFIXES},
        lacking=tuple(name for name in _COLUMNS if name not in held),
    )


_CLIP_COLUMNS = ("npz_path", "frame_indices", "frames_shape", "trajectory_id", "end_progress")
_COLUMNS = (
    "sample_type",
    "prompt",
    "answer",
    "task",
    "data_source",
    "data_gen_strategy",
    "chosen_is_first",
    "target_progress",
    "instruction_kind",
    *(f"{prefix}{name}" for prefix in PREFIXES for name in _CLIP_COLUMNS),
)


@dataclass(frozen=True)
class _Columns:
    """An Arrow table by column, absent ones null."""

    table: pa.Table

    def column(self, name: str, kind: pa.DataType) -> pa.ChunkedArray | None:
        """Return a column cast to `kind`; None where there is none or it is null throughout."""
        if name not in self.table.column_names or pa.types.is_null(self.table.schema.field(name).type):
            return None
        column = self.table.column(name)
        try:
            return column.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"`{name}` must be {kind}, but is {column.type}: {error}") from error

    def words(self, name: str) -> Words:
        return _encode(self.column(name, pa.large_string()), self.table.num_rows)

    def floats(self, name: str) -> Float64[np.ndarray, " n"] | None:
        column = self.column(name, pa.float64())
        return None if column is None else pc.fill_null(column, np.nan).to_numpy()

    def booleans(self, name: str) -> Int8[np.ndarray, " n"] | None:
        column = self.column(name, pa.bool_())
        return None if column is None else pc.fill_null(column.cast(pa.int8()), -1).to_numpy()

    def lists(self, name: str, kind: pa.DataType) -> Ragged | None:
        if name not in self.table.column_names or pa.types.is_null(self.table.schema.field(name).type):
            return None
        return read_ragged(self.table.column(name), name, kind)

    def paths(self) -> tuple[tuple[str, ...], dict[str, Int32[np.ndarray, " n"]]]:
        """Return the distinct frame files of all clips, and the codes by prefix."""
        n = self.table.num_rows
        columns = [self.column(f"{prefix}npz_path", pa.large_string()) for prefix in PREFIXES]
        nulls = pa.chunked_array([pa.nulls(n, pa.large_string())])
        chunks = [chunk for column in columns for chunk in (nulls if column is None else column).chunks]
        words = _encode(pa.chunked_array(chunks, pa.large_string()), len(PREFIXES) * n)
        return words.distinct, dict(zip(PREFIXES, words.code.reshape(len(PREFIXES), n), strict=True))

    def clip(self, prefix: str, path: Int32[np.ndarray, " n"]) -> Clip:
        frames = self.lists(f"{prefix}frame_indices", pa.int64())
        return Clip(
            path=path,
            frames=frames or Ragged(np.empty(0, np.int64), np.zeros(self.table.num_rows + 1, np.int64)),
            shape=self.lists(f"{prefix}frames_shape", pa.int64()),
            trajectory_id=self.words(f"{prefix}trajectory_id")
            if f"{prefix}trajectory_id" in self.table.column_names
            else None,
            end_progress=self.floats(f"{prefix}end_progress"),
        )


def _encode(column: pa.ChunkedArray | None, rows: int) -> Words:
    if column is None or not rows:
        return Words((), np.full(rows, -1, np.int32))
    coded = column.dictionary_encode().unify_dictionaries()
    code = np.concatenate([chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in coded.chunks])
    return Words(tuple(coded.chunk(0).dictionary.to_pylist()), code.astype(np.int32))


def _numbers(answers: Words) -> Float64[np.ndarray, " n"]:
    return answers.map(np.array([read_answer(text) for text in answers.distinct], np.float64), np.nan)  # None: NaN


def _tasks_of(prompts: Words) -> Words:
    """Return what follows the last "Task:" of each prompt."""
    found = [text.rpartition(_TASK_MARK) for text in prompts.distinct]
    tasks = [task.strip() if mark else "" for _, mark, task in found]
    code = {task: at for at, task in enumerate(dict.fromkeys(task for task in tasks if task))}
    by_prompt = np.array([code.get(task, -1) for task in tasks], np.int32)
    return Words(tuple(code), prompts.map(by_prompt, -1))
