"""Controls: the same questions with a part of their content taken away. Rows in, rows out; no torch.

    blank              every frame mid-grey (done where frames are read)      is anything looked at?
    first_frame        the first frame, repeated                              is it told by the scene?
    last_frame         the last frame, repeated                               does what came before matter?
    shuffled           the frames in a random order                           does order matter?
    reversed           the frames backwards                                   does direction matter?
    frozen_tail        from the middle on, the middle frame repeated          is the end looked at?
    other_instruction  the words of a task of none of the videos              does the instruction matter?
    swapped            the two videos in the other order; the right answer is then the other one
    floor              the audit's classifier, which never sees a frame (rfm.evaluation.rivals.floor)

A model that watches and understands gets worse under all of them but `swapped`, under which its answers should turn
round. Frames keep their number, so prompts keep their length. A control is a function of the row and the seed. A clip
that it leaves as it was (two equal frames shuffled, no task that is none of its own) is asked all the same and counted
in `unchanged`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from rfm.batch.clips import Row
from rfm.errors import DataError
from rfm.evaluation.exam import Exam
from rfm.inference.rows import row_digest
from rfm.vqa.answers import valid_answer
from rfm.vqa.schema import CLIP_PREFIXES

SEED = 0
FLOOR, SWAPPED, BLANK, OTHER_INSTRUCTION = "floor", "swapped", "blank", "other_instruction"

Transform = Callable[[Exam, Row, np.random.Generator], dict[str, Any]]


def _blank(exam: Exam, row: Row, rng: np.random.Generator) -> dict[str, Any]:
    return dict(row)


def _first_frame(exam: Exam, row: Row, rng: np.random.Generator) -> dict[str, Any]:
    return _reordered(row, lambda count: np.zeros(count, np.int64))


def _last_frame(exam: Exam, row: Row, rng: np.random.Generator) -> dict[str, Any]:
    return _reordered(row, lambda count: np.full(count, count - 1))


def _shuffled(exam: Exam, row: Row, rng: np.random.Generator) -> dict[str, Any]:
    return _reordered(row, lambda count: another_order(count, rng))


def _reversed(exam: Exam, row: Row, rng: np.random.Generator) -> dict[str, Any]:
    return _reordered(row, lambda count: np.arange(count)[::-1])


def _frozen_tail(exam: Exam, row: Row, rng: np.random.Generator) -> dict[str, Any]:
    return _reordered(row, lambda count: np.minimum(np.arange(count), (count - 1) // 2))


def _other_instruction(exam: Exam, row: Row, rng: np.random.Generator) -> dict[str, Any]:
    task, prompt = row.get("task"), row.get("prompt")
    if not task or not prompt or task not in prompt:
        raise DataError(
            f"`task` must stand in `prompt` for the control other_instruction, but is {task!r}; leave that control out"
        )
    before, _, after = prompt.rpartition(task)
    others = _other_instructions(exam, row)
    other = others[int(rng.integers(len(others)))] if others else task
    return {**row, "task": other, "prompt": f"{before}{other}{after}"}


def _swapped(exam: Exam, row: Row, rng: np.random.Generator) -> dict[str, Any]:
    out = dict(row)
    for name in row:
        if name.startswith("first_"):
            other = "second_" + name.removeprefix("first_")
            out[name], out[other] = row.get(other), row[name]
    out["answer"] = str(3 - valid_answer(row["sample_type"], row["answer"]))
    if row.get("chosen_is_first") is not None:
        out["chosen_is_first"] = not row["chosen_is_first"]
    return out


CONTROLS: Mapping[str, Transform] = MappingProxyType(
    {
        BLANK: _blank,
        "first_frame": _first_frame,
        "last_frame": _last_frame,
        "shuffled": _shuffled,
        "reversed": _reversed,
        "frozen_tail": _frozen_tail,
        OTHER_INSTRUCTION: _other_instruction,
        SWAPPED: _swapped,
    }
)
"""By the names that `--controls` takes; `floor` asks no model."""


class Controlled(NamedTuple):
    """Rows under a control."""

    rows: list[Row]
    unchanged: int
    """How many of them the control left as they were."""


def controlled(exam: Exam, name: str, rows: Sequence[int], seed: int = SEED) -> Controlled:
    """Return the chosen rows of a dataset under a control; about 2 kB a row are held."""
    change = CONTROLS[name]
    before: list[Row] = exam.dataset.select(rows).to_list()
    after: list[Row] = [change(exam, row, np.random.default_rng(int(row_digest(row, seed), 16))) for row in before]
    same = 0 if name == BLANK else sum(map(operator.eq, before, after))
    return Controlled(after, same)


def usable_controls(exam: Exam, names: Sequence[str], *, named: bool) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the controls that can be asked of these rows, and why others can't; before a model is asked.

    Raises:
        DataError: one can't that the user named; of `all` it is left out.

    """
    if OTHER_INSTRUCTION not in names:
        return tuple(names), {}
    rows = exam.asked.tolist()
    try:
        if controlled(exam, OTHER_INSTRUCTION, rows).unchanged == len(rows):
            raise DataError(
                "the control other_instruction needs another task in the dataset, but no row can be asked one: every "
                "other is that of a clip shown or of its preference group; leave that control out"
            )
    except DataError as error:
        if named:
            raise
        return tuple(name for name in names if name != OTHER_INSTRUCTION), {OTHER_INSTRUCTION: str(error)}
    return tuple(names), {}


def another_order(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random order of `count` things that is not the one they are in, if there is another."""
    order = np.arange(count)
    while count > 1 and (order == np.arange(count)).all():
        order = rng.permutation(count)
    return order


def _reordered(row: Row, order: Callable[[int], np.ndarray]) -> dict[str, Any]:
    out = dict(row)
    for prefix in CLIP_PREFIXES[row["sample_type"]]:
        name = f"{prefix}frame_indices"
        indices = row.get(name)
        if indices:
            out[name] = [indices[at] for at in order(len(indices)).tolist()]
    return out


def _other_instructions(exam: Exam, row: Row) -> list[str]:
    """Return the words of tasks that are neither the one asked about nor one that a clip shown is known under."""
    held = {*exam.tasks.named_so(row["task"])}
    for prefix in CLIP_PREFIXES[row["sample_type"]]:
        held |= exam.tasks.of_path.get(row.get(f"{prefix}npz_path") or "", frozenset())
    return [text for text in exam.instructions if held.isdisjoint(exam.tasks.named_so(text))]
