"""Results as tables of a page: what the files are worth side by side, and every breakdown, to be sorted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.reports.tables import SET_COLUMNS, contestant_name
from rfm.pages.results.charts import METRICS, NAMES

BREAKDOWNS = (("by_task", "by task"), ("by_source", "by source"), ("by_strategy", "by strategy"))
_SETTINGS = (
    "model_path", "dataset_path", "total_samples", "sample_types", "dataset_hash", "asked", "decoding", "model",
    "trained_on_share", "input_mismatch", "unreadable", "not_computed", "benchmark",
)  # fmt: skip
"""What says what was asked of what, for doing it again."""


class Cell(NamedTuple):
    """What stands in a cell, and what it is sorted by."""

    words: str
    value: float | str = ""


class Table(NamedTuple):
    """Heads and rows; the first cell of a row is its name."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def overview(files: Mapping[str, Numbers]) -> Table:
    """Return a row a metric, a column a file."""
    rows = []
    wanted = [*METRICS, ("progress", "rmse"), *((name, one) for name, of in SET_COLUMNS.items() for one, _ in of)]
    titles = {(name, one): words for name, of in SET_COLUMNS.items() for one, words in of}
    for kind, metric in wanted:
        cells = [_cell(one.get(kind, {}), metric) for one in files.values()]
        if any(cell.words for cell in cells):
            name = titles.get((kind, metric), f"{kind}: {NAMES.get(metric, metric.upper())}")
            rows.append([Cell(name), *cells])
    for kind, _ in METRICS:
        leads = [one.get("gap", {}).get(kind) for one in files.values()]
        if any(leads):
            rows.append([Cell(f"{kind}: ahead of the best control by"), *map(_lead, leads)])
    return Table("", ["", *files], rows)


def verdict(results: Numbers) -> Iterator[str]:
    """Yield a sentence for each sample type: what the model reaches, and how far that is from looking at nothing."""
    for kind, metric in METRICS:
        numbers, lead = results.get(kind, {}), results.get("gap", {}).get(kind)
        if numbers.get(metric) is None:
            continue
        reached, count = _cell(numbers, metric).words, numbers.get("count", 0)
        said = f"{kind.capitalize()}: {NAMES[metric]} {reached} on {count:,} questions"
        if lead is not None:
            ahead = "ahead of" if lead["gap"] > 0 else "behind"
            bounds = lead["gap_interval"]
            sure = "" if bounds is None or bounds[0] > 0 or bounds[1] < 0 else ", which may be chance"
            control = contestant_name(lead["best_control"])
            said += f", {ahead} its best control ({control}) by {_number(metric, abs(lead['gap']))}{sure}"
        yield f"{said}."


def breakdowns(results: Numbers) -> Iterator[Table]:
    """Yield the tables by task, source and strategy."""
    for key, title in BREAKDOWNS:
        names = list(dict.fromkeys(name for kind, _ in METRICS for name in results.get(kind, {}).get(key, {})))
        used = [(kind, metric) for kind, metric in METRICS if results.get(kind, {}).get(key)]
        if not names:
            continue
        heads = ["", *(head for kind, metric in used for head in (f"{kind}: rows", f"{kind}: {NAMES[metric]}"))]
        rows = []
        for name in names:
            row = [Cell(name, name)]
            for kind, metric in used:
                numbers = results[kind][key].get(name, {})
                count = numbers.get("count")
                row += [
                    Cell("" if count is None else f"{count:,}", "" if count is None else count),
                    _cell(numbers, metric),
                ]
            rows.append(row)
        yield Table(title, heads, rows)


def settings(results: Numbers) -> str:
    """Return what was asked of what, and the hashes, as JSON."""
    held = {name: results[name] for name in _SETTINGS if results.get(name) not in (None, {}, [])}
    return json.dumps(held, indent=2, ensure_ascii=False)


def _cell(numbers: Mapping[str, Any], metric: str) -> Cell:
    value = numbers.get(metric)
    if value is None:
        return Cell("", "")
    bounds = numbers.get(f"{metric}_interval")
    words = _number(metric, value)
    if bounds is not None:
        words = f"{words} [{_number(metric, bounds[0])}, {_number(metric, bounds[1])}]"
    return Cell(words, float(value))


def _lead(lead: Mapping[str, Any] | None) -> Cell:
    if lead is None:
        return Cell("")
    words, bounds = _number(lead["metric"], lead["gap"]), lead["gap_interval"]
    if bounds is not None:
        words = f"{words} [{_number(lead['metric'], bounds[0])}, {_number(lead['metric'], bounds[1])}]"
    return Cell(f"{words} ({contestant_name(lead['best_control'])})", float(lead["gap"]))


def _number(metric: str, value: float) -> str:
    return f"{value:.1f}" if metric in ("mae", "rmse") else f"{value:.3f}"
