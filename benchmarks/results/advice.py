"""Three sentences of advice from the ladder: what more episodes, more tasks and each ingredient did.

Each is chosen by rule from paired intervals: what lies on either side of 0 is not called a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.results.figures import FIGURES
from rfm.evaluation.metrics.accuracy import Numbers

ALL = "all"
"""The rung that has all episodes, tasks and ingredients."""
NAMES = {"preference": "preference accuracy", "mae": "MAE"}
"""Of the figures that rungs are compared by, row by row."""


def advice(rungs: Sequence[Numbers]) -> list[str]:
    """Return the sentences that the rungs that were run support."""
    by_axis = {axis: [one for one in rungs if one["axis"] == axis] for axis in ("episodes", "tasks", "mixture")}
    whole = next((one for one in rungs if one["name"] == ALL), None)
    if whole is None:
        return []
    said = [
        _grown("episodes", [*by_axis["episodes"], whole], "seen", "held-out episodes of the same tasks"),
        _grown("tasks", [*by_axis["tasks"], whole], "unseen", "tasks that were never trained on"),
        _ingredients(by_axis["mixture"]),
    ]
    return [one for one in said if one]


def _grown(what: str, rungs: Sequence[Numbers], side: str, where: str) -> str:
    """Say how accuracy grew along an axis, and whether the last doubling still helped."""
    first, whole = rungs[0], rungs[-1]
    values = [one[side].get("preference") for one in (first, whole)]
    if len(rungs) < 2 or None in values:
        return ""
    low, high = (f"{one['value']:.2f}" for one in values if one is not None)
    last = rungs[-2]
    gained = _differs(last[side], "preference")
    ends = {1: "and the last step still helped: collect more", -1: "and the last step made it worse", 0: ""}[gained]
    still = ends or "and the last step made no measurable difference: more of them alone is not what is missing"
    return (
        f"**{what.capitalize()}**: from {first[what]} to {whole[what]} {what} preference accuracy on {where} went from "
        f"{low} to {high}, {still}."
    )


def _ingredients(rungs: Sequence[Numbers]) -> str:
    """Say what was worse, and what better, when an ingredient was left out."""
    found = {one["title"]: _changed(one) for one in rungs}
    if not found:
        return ""
    parts = [f"{title}, {' and '.join(changes)}" for title, changes in found.items() if changes]
    idle = [title for title, changes in found.items() if not changes]
    parts += [f"{', '.join(idle)}, no measurable difference"] if idle else []
    return f"**Mixture**: {'; '.join(parts)}. Leave out nothing without which what you need was worse."


def _changed(rung: Numbers) -> list[str]:
    said = {1: "worse", -1: "better"}
    return [
        f"{NAMES[name]} {abs(value['value']):.{FIGURES[name].digits}f} {said[how]} on {side} tasks"
        for side in ("seen", "unseen")
        for name, value in rung[side].get("against_all", {}).items()
        if (how := _differs(rung[side], name))
    ]


def _differs(side: Mapping[str, Numbers], name: str) -> int:
    """Return 1 where the rung with everything is measurably better on the very rows, -1 where worse, else 0."""
    found = side.get("against_all", {}).get(name)
    if found is None or found["interval"] is None:
        return 0
    low, high = found["interval"]
    return 1 if low > 0 else -1 if high < 0 else 0
