"""A comparison of two results as tables on the terminal."""

from __future__ import annotations

from rfm.console import plain, results
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.gaps import MAIN_METRIC
from rfm.table import FittedTable

_LONGEST = 30
"""Letters shown of an answer or a task."""


def print_comparison(found: Numbers) -> None:
    """Print A beside B, wins and losses by task and the rows that differ most."""
    kinds = [kind for kind in MAIN_METRIC if kind in found]
    for side in ("first", "second"):
        name = "A" if side == "first" else "B"
        results().print(f"{name}  {found[side]['model_path']}  ({found[side]['results']})")
    if found["left_out"]:
        results().print(f"{found['left_out']} rows were not judged in one of the two and are left out")
    results().print(_table("B beside A", [(f"{kind}", found[kind]) for kind in kinds]))
    if found["same_scene_gap"]:
        results().print(_gaps(found["same_scene_gap"]))
    for kind in kinds:
        results().print(_table(f"{kind} by task", list(found[kind]["by_task"].items())))
    for kind in kinds:
        if found[kind]["most_different"]:
            results().print(_rows(kind, found[kind]["most_different"]))


def _table(title: str, rows: list[tuple[str, Numbers]]) -> FittedTable:
    table = FittedTable(title)
    table.add_column("")
    for name in ("rows", "A", "B", "B is better by", "won/lost/tied"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, numbers in rows:
        metric = numbers["metric"]
        values = (_form(metric, numbers[side]) for side in ("first", "second"))
        counts = "/".join(str(numbers[outcome]) for outcome in ("wins", "losses", "ties"))
        table.add_row(plain(name), str(numbers["count"]), *values, _difference(metric, numbers), counts)
    return table


def _gaps(gaps: dict[str, Numbers]) -> FittedTable:
    table = FittedTable("own - same scene")
    for name in ("", "rows", "A", "B", "B is larger by"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, numbers in gaps.items():
        values = (f"{numbers[side]:+.1f}" for side in ("first", "second"))
        table.add_row(plain(name.replace("_", " ")), str(numbers["count"]), *values, _difference("mae", numbers))
    return table


def _rows(kind: str, rows: list[Numbers]) -> FittedTable:
    table = FittedTable(f"{kind} rows that differ most")
    for name, side in (("row", "right"), ("task", "left"), ("truth", "right"), ("A", "left"), ("B", "left")):
        table.add_column(name, justify="right" if side == "right" else "left")
    for row in rows:
        cells = (f"{row['row']}", row["task"], f"{row['truth']:g}", row["first"], row["second"])
        table.add_row(*(plain(cell, _LONGEST) for cell in cells))
    return table


def _difference(metric: str, numbers: Numbers) -> str:
    digits = 3 if metric == "accuracy" else 1
    bounds = numbers["difference_interval"]
    text = f"{numbers['difference']:+.{digits}f}"
    return text if bounds is None else f"{text} [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"


def _form(metric: str, value: float) -> str:
    return f"{value:.3f}" if metric == "accuracy" else f"{value:.1f}"
