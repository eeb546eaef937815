"""What two datasets share, judged: trajectories, look-alikes, instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rfm.audit.checks import Check, judge, not_checked
from rfm.audit.options import AuditOptions
from rfm.audit.overlap import Overlap, Prints, common, lookalikes, shared, take_prints, told_apart
from rfm.audit.reading.subject import Subject

_SHOWN = 3


@dataclass(frozen=True)
class Comparison:
    """Two datasets, what they share, and the checks of it."""

    first: str
    second: str
    overlap: Overlap
    lookalikes: list[tuple[str, str]]
    checks: list[Check]


def compare(subjects: Sequence[Subject], options: AuditOptions) -> list[Comparison]:
    """Compare each two of the datasets; their episodes are hashed once."""
    if len(subjects) < 2:
        return []
    prints = [_prints(subject, options) for subject in subjects]
    return [
        _compare(subjects[i], subjects[j], prints[i], prints[j], options)
        for i, j in combinations(range(len(subjects)), 2)
    ]


def _prints(subject: Subject, options: AuditOptions) -> Prints | None:
    if subject.root is None or not options.max_hashed_episodes:
        return None
    return take_prints(subject.root, subject.questions.paths, subject.num_frames, options.max_hashed_episodes)


def _compare(
    first: Subject, second: Subject, one: Prints | None, other: Prints | None, options: AuditOptions
) -> Comparison:
    namesakes, by_name = _namesakes(first, second, one, other)
    overlap = shared(first.questions, second.questions, namesakes)
    sampled = any(len(subject.questions) < subject.questions.total for subject in (first, second))
    unseen = "rows beyond the sample of --max_rows" if sampled else ""
    checks = [_trajectories(overlap, by_name, unseen, options)]
    alike: list[tuple[str, str]] = []
    name, limit = "look-alike episodes", options.max_near_duplicates
    if one is None or other is None:
        why = "max_hashed_episodes is 0" if not options.max_hashed_episodes else first.why_not or second.why_not
        checks.append(not_checked(name, why, limit))
    else:
        alike = lookalikes(one, other)
        examples = "; ".join(f"{b} looks like {a}" for a, b in alike[:_SHOWN])
        left_out = one.left_out + other.left_out
        unseen = f"{left_out} episodes: too many, unreadable or of unknown length" if left_out else ""
        checks.append(judge(name, len(alike), limit, good=len(alike) <= limit, note=examples, unseen=unseen))
    checks.append(_tasks(overlap, options))
    return Comparison(first.path, second.path, overlap, alike, checks)


def _namesakes(first: Subject, second: Subject, one: Prints | None, other: Prints | None) -> tuple[list[str], int]:
    """Return the names in both that stand for other episodes, and how many names under two roots were not compared."""
    names = common(first.questions, second.questions)
    if not names or (first.root is not None and second.root is not None and first.root.samefile(second.root)):
        return [], 0
    return ([], len(names)) if one is None or other is None else told_apart(one, other, names)


def _trajectories(overlap: Overlap, by_name: int, unseen: str, options: AuditOptions) -> Check:
    count, limit = len(overlap.trajectories), options.max_overlap
    notes = [f"{overlap.rows} rows are in both; {_some(overlap.trajectories)}"] if count else []
    if by_name:
        notes.append(f"{by_name} by name alone: whether they are the same under two roots is not known")
    if overlap.namesakes:
        notes.append(f"{len(overlap.namesakes)} more have one name and look different: {_some(overlap.namesakes)}")
    note = "; ".join(notes)
    return judge("shared trajectories", count, limit, good=count <= limit, note=note, unseen=unseen)


def _tasks(overlap: Overlap, options: AuditOptions) -> Check:
    count, limit = len(overlap.tasks), options.max_task_overlap
    good = limit is None or count <= limit
    return judge("shared instructions", count, limit, good=good, note="" if good else _some(overlap.tasks))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
