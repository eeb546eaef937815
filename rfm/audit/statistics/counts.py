"""What a VQA dataset consists of: counts by type, strategy, source and task, answers, and lengths of clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rfm.audit.reading.questions import SAMPLE_TYPES, Questions, Words

Counts = dict[str, int]


@dataclass(frozen=True)
class Statistics:
    """Counts of one dataset's rows; those by text are ordered from the most frequent, '' standing for null."""

    path: str
    total: int
    """Rows of the dataset."""
    rows: int
    """Rows looked at."""
    frame_files: int
    """Different files, one a trajectory as a rule."""
    strategies: dict[str, Counts]
    """By sample type."""
    answers: dict[str, Counts]
    """By sample type, in the order of the numbers."""
    clip_lengths: dict[str, Counts]
    """Clips by the frames they show, by sample type."""
    sizes: Counts
    """Clips by height x width in pixels."""
    sources: Counts
    tasks: Counts
    lacking: tuple[str, ...]
    """Columns of the format that the dataset does not have."""


def gather(path: str, questions: Questions) -> Statistics:
    """Count what the rows have."""
    everyone = np.ones(len(questions), bool)
    others = [name for name in questions.sample_type.counts(everyone) if name not in SAMPLE_TYPES]
    kinds = [kind for kind in (*SAMPLE_TYPES, *others) if kind == "" or questions.of_type(kind).any()]
    return Statistics(
        path=path,
        total=questions.total,
        rows=len(questions),
        frame_files=len(questions.paths),
        strategies={kind: questions.strategy.counts(questions.of_type(kind)) for kind in kinds},
        answers={kind: _answers(questions, questions.of_type(kind)) for kind in kinds},
        clip_lengths={kind: _lengths(questions, questions.of_type(kind)) for kind in kinds},
        sizes=_sizes(questions),
        sources=_by_text(questions.source, everyone),
        tasks=_by_text(questions.task, everyone),
        lacking=questions.lacking,
    )


def binned(answers: Counts) -> Counts:
    """Return progress answers as "0", "1-10", "11-20", …; what is no answer from 0 to 100 counts as "other"."""
    bins = {"0": 0} | {f"{low}-{low + 9}": 0 for low in range(1, 100, 10)} | {"other": 0}
    names = list(bins)
    for answer, count in answers.items():
        value = int(answer) if answer.isdigit() else -1
        bins[names[(value + 9) // 10] if 0 <= value <= 100 else "other"] += count
    return {name: count for name, count in bins.items() if count or name != "other"}


def _answers(questions: Questions, rows: np.ndarray) -> Counts:
    values, counts = np.unique(questions.answer[rows], return_counts=True)
    return {
        "none" if np.isnan(value) else str(int(value)): int(count) for value, count in zip(values, counts, strict=True)
    }


def _lengths(questions: Questions, rows: np.ndarray) -> Counts:
    shown = [clip.frames.lengths[rows & clip.present] for clip in questions.clips.values()]
    values, counts = np.unique(np.concatenate(shown), return_counts=True)
    return {str(int(value)): int(count) for value, count in zip(values, counts, strict=True)}


def _sizes(questions: Questions) -> Counts:
    pixels = [
        np.stack([clip.shape.at(1), clip.shape.at(2)], axis=1)[clip.present]
        for clip in questions.clips.values()
        if clip.shape is not None
    ]
    if not pixels:
        return {}
    values, counts = np.unique(np.concatenate(pixels), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {f"{values[at][0]} x {values[at][1]}": int(counts[at]) for at in order}


def _by_text(words: Words | None, rows: np.ndarray) -> Counts:
    return {} if words is None else words.counts(rows)
