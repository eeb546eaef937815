"""Why a row's answer is what it is, in words, from what the row and its trajectories record.

In: a row as it is stored, and what the trajectories of its clips say. Out: one or two sentences. Nothing is taken for
granted: where the record is missing the words say that the reason is not known, and where it speaks for another answer
they say that the row contradicts it. What the rules are stands in docs/generation.md, "What the answers mean".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rfm.audit.rules.contract import Settings
from rfm.vqa.answers import read_answer

RECORDED, TIME, OUTCOME = "recorded", "time", "outcome"
_SLACK = 1e-4
"""Progress is stored in 32 bits."""
_BY_QUALITY = ("suboptimal", "quality_preference", "quality")
_BETTER = {"failure": 0, "suboptimal": 1, "successful": 2}
_OTHER_TASKS = {
    "same_scene": "The instruction is another task of the clip's scene, and the trajectory records how far each frame "
    "has got on it",
    "other_scene": "The instruction is a task of another scene, so nothing of it is done here",
    "unknown_scene": "The instruction is another task; as the scene is not known to be the same, nothing of it is "
    "taken to be done here",
}


@dataclass(frozen=True)
class Shown:
    """What is known of the trajectory of a clip."""

    length: int | None = None
    """Its frames."""
    basis: str | None = None
    """What its progress is from: RECORDED, TIME or OUTCOME; None: not known."""
    task: str | None = None


def reason(row: Mapping[str, Any], clips: Mapping[str, Shown], settings: Settings) -> str:
    """Return why the row's answer is what it is; `clips` by the prefix of their columns."""
    kind, answer = row["sample_type"], read_answer(row["answer"])
    if answer is None:
        return f"The answer, {row['answer']!r}, is no whole number, so there is nothing to explain."
    if kind == "progress":
        return _score(row, clips.get("", Shown()), settings, answer)
    if kind in ("preference", "similarity") and answer in (1, 2):
        return (_preference if kind == "preference" else _similarity)(row, clips, answer)
    return f"Nothing is known of what {answer} means for a question of type {kind!r}."


def way(frames: Sequence[int]) -> str:
    """Return how a clip runs through its episode.

    >>> way([0, 4, 8]), way([8, 4, 0]), way([2, 6, 4])
    ('forwards', 'backwards', 'forwards to frame 6, then back')
    """
    if len(frames) < 2:
        return "as one frame"
    steps = [b - a for a, b in pairwise(frames)]
    top = max(frames)
    still = f", then standing still at frame {frames[-1]}" if steps[-1] == 0 else ""
    if not any(steps):
        return f"standing still at frame {top}"
    if min(steps) >= 0:
        return f"forwards{still}"
    if max(steps) <= 0:
        return f"backwards{still}"
    if steps[0] > 0 and all(a >= 0 or b <= 0 for a, b in pairwise(steps)):
        return f"forwards to frame {top}, then back"
    return "to and fro"


def _score(row: Mapping[str, Any], clip: Shown, settings: Settings, answer: int) -> str:
    progress, frames = row.get("end_progress"), row.get("frame_indices") or []
    if progress is None or not frames:
        return f"The row does not record how far its clip gets, so why the answer is {answer} is not known."
    why = _source_of(row, clip, settings, progress, frames[-1])
    scale = _scale(progress, settings)
    if abs(answer - scale) > max(settings.progress_step, 1) / 2 + _SLACK * 100:
        return (
            f"{why}. That asks for {math.floor(scale + 0.5)}, but the answer is {answer}: the row contradicts itself."
        )
    unit = "on the scale from 1 to 5" if settings.discrete_progress else "of 100"
    step = f", in steps of {settings.progress_step}" if settings.progress_step > 1 else ""
    run = way(frames)
    aside = "" if run.startswith("forwards") and "back" not in run else " Its way there does not count."
    return f"{why}: {answer} {unit}{step}. The clip runs {run}.{aside}"


def _source_of(row: Mapping[str, Any], clip: Shown, settings: Settings, progress: float, last: int) -> str:
    kind = row.get("instruction_kind")
    if kind in _OTHER_TASKS:
        at = f"; at its last shown frame, {last}, that is {progress:.3f}" if kind == "same_scene" else ""
        return _OTHER_TASKS[kind] + at
    if clip.basis == RECORDED:
        return f"The trajectory records its progress, which is {progress:.3f} at the last shown frame, {last}"
    if clip.basis == TIME and clip.length:
        said = _by_time(settings, last, clip.length)
        return f"The episode succeeds and records no progress, so time counts: {said}, a progress of {progress:.3f}"
    if clip.basis == OUTCOME:
        return f"The clip runs to the end of an episode whose outcome alone is known, {progress:.3f} of the task"
    return f"By the row's own record the clip ends, with frame {last}, at a progress of {progress:.3f}"


def _by_time(settings: Settings, last: int, length: int) -> str:
    said = f"the last shown frame is number {last + 1} of {length}"
    return said if settings.progress_pred_type == Settings.progress_pred_type else f"{said}, counted from the first"


def _scale(progress: float, settings: Settings) -> float:
    return 1 + 4 * progress if settings.discrete_progress else 100 * progress


def _preference(row: Mapping[str, Any], clips: Mapping[str, Shown], answer: int) -> str:
    chosen, other = ("first_", "second_") if answer == 1 else ("second_", "first_")
    names = {"first_": "Video 1", "second_": "Video 2"}
    ends = {prefix: row.get(f"{prefix}end_progress") for prefix in names}
    labels = {prefix: row.get(f"{prefix}quality_label") for prefix in names}
    about = _what_is_compared(row, clips)
    if row.get("data_gen_strategy") in _BY_QUALITY and labels[chosen] != labels[other]:
        said = (
            f"{about} {names[chosen]} is labelled {labels[chosen] or 'unknown'} and {names[other]} "
            f"{labels[other] or 'unknown'}"
        )
        ranks = [_BETTER.get(labels[prefix] or "") for prefix in (chosen, other)]
        if None in ranks:
            return f"{said}, so why {names[chosen]} is the answer is not known."
        better = ranks[0] > ranks[1]  # type: ignore[operator]
        return f"{said}." if better else f"{said}, but {names[chosen]} is the answer: the row contradicts its labels."
    return f"{about} {_further(names, ends, chosen, other)}"


def _what_is_compared(row: Mapping[str, Any], clips: Mapping[str, Shown]) -> str:
    one, two = row.get("first_npz_path"), row.get("second_npz_path")
    tasks = [clips.get(prefix, Shown()).task for prefix in ("first_", "second_")]
    if row.get("instruction_kind") in _OTHER_TASKS or (None not in tasks and tasks[0] != tasks[1]):
        return "Clips of two tasks, judged by how far each gets on the one that is asked."
    if one is not None and one == two:
        return "Two clips of one episode."
    return "Two episodes of one task."


def _further(names: Mapping[str, str], ends: Mapping[str, float | None], chosen: str, other: str) -> str:
    high, low = ends[chosen], ends[other]
    if high is None or low is None:
        return f"The row does not record how far both get, so why {names[chosen]} is the answer is not known."
    said = f"{names[chosen]} ends at a progress of {high:.3f} and {names[other]} at {low:.3f}"
    return f"{said}." if high > low else f"{said}, but {names[chosen]} is the answer: the row contradicts its record."


def _similarity(row: Mapping[str, Any], clips: Mapping[str, Shown], answer: int) -> str:
    chosen, other = ("first_", "second_") if answer == 1 else ("second_", "first_")
    name = {"first_": "Video 1", "second_": "Video 2"}
    task = {prefix: clips.get(prefix, Shown()).task for prefix in ("reference_", *name)}
    if None not in task.values():
        same = {prefix: task[prefix] == task["reference_"] for prefix in name}
        if same[chosen] and not same[other]:
            return f"{name[chosen]} is of the reference's task and {name[other]} is of another."
        if same[other] and not same[chosen]:
            return f"{name[other]} alone is of the reference's task, but {name[chosen]} is the answer: a contradiction."
    found = {prefix: row.get(f"{prefix}end_progress") for prefix in task}
    ends = {prefix: float(end) for prefix, end in found.items() if end is not None}
    if len(ends) < len(found):
        return f"The row does not record how far its clips get, so why {name[chosen]} is nearer is not known."
    away = {prefix: abs(ends[prefix] - ends["reference_"]) for prefix in name}
    said = (
        f"The reference ends at a progress of {ends['reference_']:.3f}; {name[chosen]} is {away[chosen]:.3f} away from "
        f"that and {name[other]} {away[other]:.3f}"
    )
    return f"{said}." if away[chosen] < away[other] else f"{said}, but {name[chosen]} is the answer: a contradiction."
