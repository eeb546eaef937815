"""Results as a table on the terminal: the model beside its controls and the best constant answer."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE
from rich.table import Table

from rfm.console import console
from rfm.evaluation.metrics import Numbers

_NAMES = {"accuracy": "accuracy", "mae": "MAE", "rmse": "RMSE"}
_COLUMNS = (("preference", "accuracy"), ("progress", "mae"), ("progress", "rmse"), ("similarity", "accuracy"))


def print_results(results: Numbers) -> None:
    """Print the summary and, below it, the metrics by strategy."""
    console().print(summary_table(results))
    console().print(strategy_table(results))


def summary_table(results: Numbers) -> Table:
    """Return a row for the model, for each control and for the best constant answer; 95% intervals in brackets."""
    shown = [(kind, metric) for kind, metric in _COLUMNS if kind in results]
    table = _table(f"{results['total_samples']} samples of {results['dataset_path']}")
    table.add_column("")
    for kind, metric in shown:
        table.add_column(f"{kind} {_NAMES[metric]}", justify="right")
    for name, numbers in _contestants(results):
        table.add_row(name, *(_cell(numbers[kind], metric) for kind, metric in shown))
    return table


def strategy_table(results: Numbers) -> Table:
    """Return a row for each strategy: accuracy, or MAE for progress."""
    table = _table("by strategy")
    table.add_column("", no_wrap=True)
    for name in ("rows", "accuracy or MAE", "constant"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind, metric in (("preference", "accuracy"), ("progress", "mae"), ("similarity", "accuracy")):
        for name, numbers in results.get(kind, {}).get("by_strategy", {}).items():
            constant = results["best_constant"][kind]["by_strategy"][name]
            cells = _cell(numbers, metric), _cell(constant, metric).split(" [")[0]
            table.add_row(f"{kind}/{name}", str(numbers["count"]), *cells)
    return table


def _table(title: str) -> Table:
    return Table(title=title, box=SIMPLE, title_justify="left", pad_edge=False)


def _contestants(results: Numbers) -> Iterator[tuple[str, Numbers]]:
    yield "model", results
    for name, numbers in results["controls"].items():
        yield f"{name} frames", numbers
    yield "best constant", results["best_constant"]


def _cell(numbers: Numbers, metric: str) -> str:
    value = numbers[metric]
    if value is None:
        return "-"
    bounds = numbers.get(f"{metric}_interval")
    form = "{:.3f}" if metric == "accuracy" else "{:.1f}"
    text = form.format(value)
    return text if bounds is None else f"{text} [{form.format(bounds[0])}, {form.format(bounds[1])}]"
