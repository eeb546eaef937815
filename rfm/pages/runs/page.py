"""Runs of `rfm train` on one page: their curves over each other, and what each has come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rfm.pages.charts import COLOURS, Axis, Chart, Frame, legend
from rfm.pages.document import embedded, render
from rfm.pages.results.page import names_of
from rfm.pages.results.tables import Cell, Table
from rfm.pages.runs.history import History

_TITLES = {
    "loss": "loss",
    "eval_loss": "evaluation: loss",
    "eval_preference_accuracy": "evaluation: preference accuracy",
    "eval_progress_mae": "evaluation: progress MAE",
    "eval_progress_rmse": "evaluation: progress RMSE",
    "eval_similarity_accuracy": "evaluation: similarity accuracy",
    "learning_rate": "learning rate",
    "grad_norm": "norm of the gradient",
    "rows_per_second": "rows a second",
    "tokens_per_second": "tokens a second",
    "data_wait_share": "share of the time spent waiting for data",
    "memory_gb": "memory, GB",
}
_COLUMNS = ("loss", "eval_loss", "eval_preference_accuracy", "eval_progress_mae", "rows_per_second", "memory_gb")
_POINTS = 500


def runs_page(folders: Sequence[str], runs: Sequence[History]) -> str:
    """Return the page of runs, in their order."""
    names = names_of(folders)
    named = dict(zip(names, runs, strict=True))
    return render(
        "runs.html",
        ("cards.js", "report.js"),
        title=", ".join(names),
        lines=[_line(name, run) for name, run in named.items()],
        legend=legend(names),
        charts=[chart for key, title in _TITLES.items() if (chart := _chart(key, title, named)) is not None],
        table_of_runs=_table(named),
        data=embedded({"cards": []}),
        pictures=[],
    )


def _line(name: str, run: History) -> str:
    state = "finished" if run.finished else f"as of its last checkpoint, of {run.planned:,} planned"
    losses = run.curves.get("loss", [])
    loss = f", loss {losses[0][1]:.3g} at first and {losses[-1][1]:.3g} at last" if losses else ""
    return f"{name}: {run.steps:,} steps, {state}{loss}."


def _chart(key: str, title: str, runs: dict[str, History]) -> Chart | None:
    curves = {name: run.curves[key] for name, run in runs.items() if run.curves.get(key)}
    if not curves:
        return None
    values = [value for curve in curves.values() for _, value in curve]
    low, high = min(0.0, *values), max(values)
    high = 1.0 if key.endswith(("accuracy", "share")) else high or 1.0
    last = max(step for curve in curves.values() for step, _ in curve)
    frame = Frame(Axis(0, last, "step", (0, last // 2, last)), Axis(low, high), height=260)
    parts = []
    for name, curve in curves.items():
        colour = f"c{list(runs).index(name) % COLOURS}"
        shown = curve[:: max(len(curve) // _POINTS, 1)]
        parts += [frame.line(shown, f"line {colour}"), frame.dot(*curve[-1], colour)]
    words = ", ".join(f"{name}: {curve[-1][1]:.4g}" for name, curve in curves.items())
    return Chart(title, frame.draw(f"{title}; at last {words}", parts), f"at last {words}")


def _table(runs: dict[str, History]) -> Table:
    shown = [key for key in _COLUMNS if any(run.curves.get(key) for run in runs.values())]
    rows = [
        [
            Cell(name, name),
            Cell(f"{run.steps:,} of {run.planned:,}", run.steps),
            *(_last(run, key) for key in shown),
            Cell(str(Path(run.folder)), run.folder),
        ]
        for name, run in runs.items()
    ]
    return Table("what each has come to", ["run", "steps", *(_TITLES[key] for key in shown), "folder"], rows)


def _last(run: History, key: str) -> Cell:
    curve = run.curves.get(key)
    return Cell(f"{curve[-1][1]:.4g}", curve[-1][1]) if curve else Cell("")
