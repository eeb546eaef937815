"""From a block of drawn questions to Arrow columns; a row is never a Python object.

Every row has every column, unused ones null, so that no reader infers a schema from the first row. Text columns are
words and codes until the batch is made, which is what their hash is taken from: a fifth of the bytes. Frame indices
become list arrays by offsets. About a microsecond a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from rfm.sampling.block import FIRST, REFERENCE, SECOND, Block, Drawer, Slot
from rfm.vqa.prompts import ACTORS, BOTH, PERSON, ROBOT, prompt
from rfm.vqa.schema import INSTRUCTION_KINDS, SCHEMA, clip_fields

HASH_VERSION = 2
"""Of what `Rows.digest` covers, and how."""
_HOLE = "\0"
"""Where the task stands while a question's text before and after it is found."""
_QUALITY = pa.array(["failure", "suboptimal", "successful"])


class Coded(NamedTuple):
    """Text columns that go by one code a row, by name: the words of each, and the code; -1 is null."""

    words: dict[str, pa.StringArray]
    code: Int[np.ndarray, " m"]

    def columns(self) -> dict[str, pa.Array]:
        """Return the columns."""
        there = self.code >= 0
        code = _masked(self.code, None if there.all() else _bits(there))
        return {name: words.take(code) for name, words in self.words.items()}

    def occurring(self) -> list[pa.StringArray]:
        """Return the words of each column that occur, in the order of their codes."""
        used = np.flatnonzero(np.bincount(self.code[self.code >= 0]))
        return [words.take(pa.array(used)) for words in self.words.values()]


@dataclass(frozen=True)
class Rows:
    """The rows of a block as columns of `SCHEMA`, before texts are put in the place of their codes."""

    coded: list[Coded]
    prompts: pa.StringArray
    """The questions, which follow from the tasks and `forms`."""
    forms: Coded
    """The text of each question around its task."""
    plain: dict[str, pa.Array]
    """Columns of numbers."""
    absent: dict[str, pa.Array]
    """Columns that are null in all rows."""

    def batch(self) -> pa.RecordBatch:
        """Return the rows as they are stored."""
        columns = {"prompt": self.prompts, **self.plain, **self.absent}
        for coded in self.coded:
            columns |= coded.columns()
        return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)

    def digest(self) -> str:
        """Return a sha256 that differs where any cell does: of codes, the words that they stand for, and numbers."""
        digest = hashlib.sha256(" ".join(self.absent).encode())
        for coded in (self.forms, *self.coded):
            for name, words in zip(coded.words, coded.occurring(), strict=True):
                digest.update(pa.record_batch({name: words}).serialize())
            digest.update(coded.code.tobytes())
        digest.update(pa.record_batch(self.plain).serialize())
        return digest.hexdigest()


def record_batch(drawer: Drawer, block: Block, *, discrete: bool) -> pa.RecordBatch:
    """Return the block as a record batch of `SCHEMA`."""
    return as_rows(drawer, block, discrete=discrete).batch()


def as_rows(drawer: Drawer, block: Block, *, discrete: bool) -> Rows:
    """Return the block as rows; `discrete` ones ask for five levels of progress."""
    strategies, catalog = drawer.quotas.strategies, drawer.catalog
    is_score, is_preference, is_similarity = (
        np.array([kind == name for kind, _ in strategies])[block.strategy]
        for name in ("progress", "preference", "similarity")
    )
    first, second, reference = block.slots[FIRST], block.slots[SECOND], block.slots[REFERENCE]
    shown = np.where(is_score | (block.answer == 1), first.trajectory, second.trajectory)
    strategy = block.strategy.astype(np.int8)
    coded = [
        Coded(
            {"sample_type": _words(k for k, _ in strategies), "data_gen_strategy": _words(n for _, n in strategies)},
            strategy,
        ),
        Coded({"answer": _words(str(number) for number in range(101))}, block.answer),
        Coded({"task": catalog.texts}, block.text),
        Coded({"data_source": catalog.sources}, catalog.source_code[shown]),
        Coded({"instruction_kind": _words(INSTRUCTION_KINDS)}, block.instruction),
    ]
    plain = {
        "resample_attempts": _masked(np.ones(len(shown), np.int32)),
        "chosen_is_first": pa.array(block.answer == 1, mask=~is_preference),
        "target_progress": _targets(block, is_score),
    }
    absent: dict[str, pa.Array] = {}
    for prefix, slot, used in (
        ("", first, is_score),
        ("first_", first, ~is_score),
        ("second_", second, ~is_score),
        ("reference_", reference, is_similarity),
    ):
        if used.any():
            coded += _clip_words(drawer, slot, prefix, used)
            plain |= _clip_numbers(drawer, slot, prefix, used)
        else:
            absent |= {field.name: pa.nulls(len(used), field.type) for field in clip_fields(prefix)}
    return Rows(coded, *_prompts(drawer, block, discrete), plain, absent)


def _prompts(drawer: Drawer, block: Block, discrete: bool) -> tuple[pa.StringArray, Coded]:
    """Return the questions, each one that a block has put together once, and what stands around the tasks in them."""
    forms = list(product(dict.fromkeys(kind for kind, _ in drawer.quotas.strategies), ACTORS))
    form_of = np.array([forms.index((kind, ROBOT)) for kind, _ in drawer.quotas.strategies])
    form = form_of[block.strategy] + _actors(drawer, block)
    asked, row = np.unique(form * (2**32) + block.text, return_inverse=True)
    frames = [prompt(kind, _HOLE, discrete=discrete, actor=actor) for kind, actor in forms]
    before, after = (_take([frame.split(_HOLE)[side] for frame in frames], asked >> 32) for side in (0, 1))
    texts = drawer.catalog.texts.take(pa.array(asked & (2**32 - 1)))
    questions = pc.binary_join_element_wise(before, texts, after, "").take(pa.array(row))
    return questions, Coded({"prompt": _words(frames)}, form.astype(np.int8))


def _actors(drawer: Drawer, block: Block) -> np.ndarray | int:
    """Return whom each row's clip or pair shows, as an index into ACTORS."""
    person = ~drawer.catalog.is_robot
    if not person.any():
        return 0
    first, second = block.slots[FIRST].trajectory, block.slots[SECOND].trajectory
    second = np.where(second < 0, first, second)
    return np.where(person[first] != person[second], ACTORS.index(BOTH), person[first] * ACTORS.index(PERSON))


def _clip_words(drawer: Drawer, slot: Slot, prefix: str, used: np.ndarray) -> list[Coded]:
    catalog = drawer.catalog
    code = np.where(used, slot.trajectory, -1).astype(np.int32)
    quality = np.where(used, catalog.quality[code], np.int8(-1))
    return [
        Coded({f"{prefix}npz_path": catalog.frames_path, f"{prefix}trajectory_id": catalog.ids}, code),
        Coded({f"{prefix}quality_label": _QUALITY}, quality),
    ]


def _clip_numbers(drawer: Drawer, slot: Slot, prefix: str, used: np.ndarray) -> dict[str, pa.Array]:
    valid = _bits(used)
    shape = drawer.catalog.frames_shape[slot.trajectory[used]].astype(np.int32)
    shape[:, 0] = slot.count[used]
    return {
        f"{prefix}frame_indices": _ragged(slot.indices, np.where(used, slot.count, 0), valid),
        f"{prefix}frames_shape": _lists(_masked(shape.ravel()), np.where(used, 4, 0), valid),
        f"{prefix}end_progress": _masked(slot.end_progress, _bits(used & ~np.isnan(slot.end_progress))),
    }


def _targets(block: Block, used: np.ndarray) -> pa.Array:
    count = np.where(used, block.slots[FIRST].count, 0)
    values = block.target[_shown(block.target, count)]
    return _lists(_masked(values, _bits(~np.isnan(values))), count, _bits(used))


def _ragged(table: np.ndarray, count: np.ndarray, valid: pa.Buffer) -> pa.ListArray:
    """Return the first `count` values of each row of `table` as a list array."""
    return _lists(_masked(table[_shown(table, count)]), count, valid)


def _shown(table: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.arange(table.shape[1]) < count[:, None]


def _lists(values: pa.Array, count: np.ndarray, valid: pa.Buffer) -> pa.ListArray:
    """Return `values` cut into lists of `count` each."""
    offsets = np.zeros(len(count) + 1, np.int32)
    np.cumsum(count, out=offsets[1:])
    return pa.Array.from_buffers(pa.list_(values.type), len(count), [valid, pa.py_buffer(offsets)], children=[values])


def _masked(values: np.ndarray, valid: pa.Buffer | None = None) -> pa.Array:
    """Return numbers as an array; `valid` has a bit each."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, pa.py_buffer(values)])


def _bits(valid: np.ndarray) -> pa.Buffer:
    """Return Arrow's bitmap; an array with `pa.array(…, mask=)` takes three times as long."""
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def _words(words: Iterable[str]) -> pa.StringArray:
    return pa.array(list(words), pa.string())


def _take(words: Iterable[str], code: np.ndarray) -> pa.Array:
    return _words(words).take(pa.array(code))
