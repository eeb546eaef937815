"""From a block of drawn questions to Arrow columns; a row is never a Python object.

Every row has every column, unused ones null, so that no reader infers a schema from the first row. Strings are taken
from dictionaries; frame indices become list arrays by offsets. About 3 microseconds a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rfm.sampling.block import FIRST, REFERENCE, SECOND, Block, Drawer, Slot
from rfm.vqa.prompts import ACTORS, BOTH, PERSON, ROBOT, prompt
from rfm.vqa.schema import INSTRUCTION_KINDS, SCHEMA, clip_fields

_HOLE = "\0"
"""Where the task stands while a question's text before and after it is found."""
_QUALITY = pa.array(["failure", "suboptimal", "successful"])


def record_batch(drawer: Drawer, block: Block, *, discrete: bool) -> pa.RecordBatch:
    """Return the block as a record batch of `SCHEMA`."""
    kinds = [kind for kind, _ in drawer.quotas.strategies]
    is_score, is_preference, is_similarity = (
        np.array([kind == name for kind in kinds])[block.strategy] for name in ("progress", "preference", "similarity")
    )
    is_pair = ~is_score
    better = np.where(block.answer == 1, block.slots[FIRST].trajectory, block.slots[SECOND].trajectory)
    shown = np.where(is_score, block.slots[FIRST].trajectory, better)
    catalog = drawer.catalog
    columns = {
        "sample_type": _take(kinds, block.strategy),
        "prompt": _prompts(drawer, block, discrete),
        "answer": _take([str(number) for number in range(101)], block.answer),
        "task": catalog.texts.take(pa.array(block.text)),
        "data_source": catalog.sources.take(pa.array(catalog.source_code[shown])),
        "data_gen_strategy": _take([name for _, name in drawer.quotas.strategies], block.strategy),
        "resample_attempts": pa.array(np.ones(len(shown), np.int32)),
        "chosen_is_first": pa.array(block.answer == 1, mask=~is_preference),
        "target_progress": _targets(block, is_score),
        "instruction_kind": _take(INSTRUCTION_KINDS, block.instruction),
        **_clip_columns(drawer, block.slots[FIRST], "", is_score),
        **_clip_columns(drawer, block.slots[FIRST], "first_", is_pair),
        **_clip_columns(drawer, block.slots[SECOND], "second_", is_pair),
        **_clip_columns(drawer, block.slots[REFERENCE], "reference_", is_similarity),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _prompts(drawer: Drawer, block: Block, discrete: bool) -> pa.Array:
    """Return the questions; each one that a block has is put together once."""
    forms = list(product(dict.fromkeys(kind for kind, _ in drawer.quotas.strategies), ACTORS))
    form_of = np.array([forms.index((kind, ROBOT)) for kind, _ in drawer.quotas.strategies])
    form = form_of[block.strategy] + _actors(drawer, block)
    asked, row = np.unique(form * (2**32) + block.text, return_inverse=True)
    frames = [prompt(kind, _HOLE, discrete=discrete, actor=actor).split(_HOLE) for kind, actor in forms]
    before, after = (_take([frame[side] for frame in frames], asked >> 32) for side in (0, 1))
    texts = drawer.catalog.texts.take(pa.array(asked & (2**32 - 1)))
    return pc.binary_join_element_wise(before, texts, after, "").take(pa.array(row))


def _actors(drawer: Drawer, block: Block) -> np.ndarray | int:
    """Return whom each row's clip or pair shows, as an index into ACTORS."""
    person = ~drawer.catalog.is_robot
    if not person.any():
        return 0
    first, second = block.slots[FIRST].trajectory, block.slots[SECOND].trajectory
    second = np.where(second < 0, first, second)
    return np.where(person[first] != person[second], ACTORS.index(BOTH), person[first] * ACTORS.index(PERSON))


def _clip_columns(drawer: Drawer, slot: Slot, prefix: str, used: np.ndarray) -> dict[str, pa.Array]:
    if not used.any():
        return {field.name: pa.nulls(len(used), field.type) for field in clip_fields(prefix)}
    catalog, valid = drawer.catalog, _bits(used)
    trajectory = slot.trajectory[used]
    rows = _masked(np.where(used, slot.trajectory, 0), valid)
    quality = np.full(len(used), -1, np.int8)
    quality[used] = catalog.quality[trajectory]
    shape = catalog.frames_shape[trajectory].astype(np.int32)
    shape[:, 0] = slot.count[used]
    return {
        f"{prefix}npz_path": catalog.frames_path.take(rows),
        f"{prefix}frame_indices": _ragged(slot.indices, np.where(used, slot.count, 0), valid),
        f"{prefix}frames_shape": _lists(_masked(shape.ravel()), np.where(used, 4, 0), valid),
        f"{prefix}trajectory_id": catalog.ids.take(rows),
        f"{prefix}quality_label": _QUALITY.take(_masked(quality, _bits(quality >= 0))),
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


def _take(words: Iterable[str], code: np.ndarray) -> pa.Array:
    return pa.array(list(words), pa.string()).take(pa.array(code))
