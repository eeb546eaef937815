"""Does the model read the words? Scores by whose instruction was asked, as a table.

The last rows are gaps: how much higher the score is with a video's own instruction than with another one.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.confusion import ASKED
from rfm.evaluation.metrics.sets import SAME_SCENE_GAP
from rfm.table import FittedTable

KIND_NAMES = {
    "own": "own",
    "same_scene": "same scene",
    "other_scene": "other scene",
    "unknown_scene": "scene not known",
    "other": "other",
}
"""How the kinds of instructions are called in tables and pictures."""
SETS = {
    "instruction_confusion": "score by whose instruction is asked",
    "instruction_following": "score by whose instruction is asked, within scenes",
}
"""Titles by the keys of the results file."""
BESIDE = {"first_frame": "first frame only", "blank": "blank frames"}
"""Controls that are shown beside the model."""
_GAPS = {"same_scene_gap": "own - same scene", "gap": "own - all others"}


def instruction_tables(results: Numbers) -> Iterator[Table]:
    """Yield a table for each set of questions about one video under several instructions."""
    for name, title in SETS.items():
        if name in results:
            yield _table(results, name, title)


def gap_lines(results: Numbers) -> Iterator[str]:
    """Yield why the gap within scenes is not known."""
    if why := results.get("not_computed", {}).get(SAME_SCENE_GAP):
        yield f"own - same scene is not known: {why}"


def kinds_of(numbers: Numbers) -> list[str]:
    """Return the kinds of instructions that were asked, in their order."""
    return [kind for kind in ASKED if numbers.get(kind, {}).get("score") is not None]


def _table(results: Numbers, name: str, title: str) -> Table:
    numbers, beside = results[name], _beside(results, name)
    table = FittedTable(title)
    table.add_column("", no_wrap=True)
    for column in ("rows", "known", "model", "MAE", *(BESIDE[name] for name in beside)):
        table.add_column(column, justify="right", no_wrap=column == "model")
    for kind in kinds_of(numbers):
        one = numbers[kind]
        others = (_score(control.get(kind, {}).get("score")) for control in beside.values())
        cells = (str(one["count"]), _score(one["known"]), _with_interval(one, "score"), _score(one["mae"]), *others)
        table.add_row(KIND_NAMES[kind], *cells)
    for gap, label in _GAPS.items():
        if numbers.get(gap) is not None:
            others = (_signed(control.get(gap)) for control in beside.values())
            known = _signed(numbers.get(f"{gap}_known"))
            table.add_row(label, "", known, _with_interval(numbers, gap, signed=True), "", *others)
    return table


def _beside(results: Numbers, name: str) -> dict[str, Numbers]:
    """Return the controls that are shown beside the model, with their numbers of this set."""
    found = {control: results["controls"].get(control, {}).get(name) for control in BESIDE}
    return {control: numbers for control, numbers in found.items() if numbers}


def _with_interval(numbers: Numbers, metric: str, *, signed: bool = False) -> str:
    text = _signed(numbers[metric]) if signed else _score(numbers[metric])
    bounds = numbers.get(f"{metric}_interval")
    return text if bounds is None else f"{text} [{bounds[0]:.1f}, {bounds[1]:.1f}]"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"
