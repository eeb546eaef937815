"""Results as a picture: the model beside its controls, tasks, and reliability where there are probabilities; scores by
whose instruction was asked where rows ask several of one video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rfm.errors import DataError
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.gaps import MAIN_METRIC
from rfm.evaluation.reports.instructions import KIND_NAMES, SETS, kinds_of
from rfm.evaluation.reports.tables import contestants
from rfm.files.figure import Axes, label, plt, save

MOST_TASKS = 24
"""Tasks shown, the worst ones; the title says of how many."""
_TITLES = {"accuracy": "accuracy", "mae": "MAE of 100"}


def plot_results(results: Numbers, path: Path) -> None:
    """Write a PNG with a row of charts a sample type; bars carry 95% intervals. DataError where nothing was judged."""
    kinds = [kind for kind in MAIN_METRIC if kind in results]
    if not kinds:
        raise DataError("results must have rows that were judged to be drawn, but have none: `unreadable` says why")
    calibration: Mapping[str, Numbers] = results.get("calibration", {})
    asked = [name for name in SETS if kinds_of(results.get(name, {}))]
    columns, rows = 3 if calibration else 2, len(kinds) + bool(asked)
    figure, axes = plt.subplots(rows, columns, figsize=(6 * columns, 5.2 * rows), squeeze=False, layout="constrained")
    for row, kind in zip(axes, kinds, strict=False):
        metric = MAIN_METRIC[kind]
        _contestants(row[0], results, kind, metric)
        _tasks(row[1], results, kind, metric)
        if kind in calibration:
            _reliability(row[2], kind, calibration[kind])
    for axis, name in zip(axes[-1], asked, strict=False):
        _instructions(axis, results, name)
    for axis in axes.flat:
        axis.set_visible(axis.has_data())
    figure.suptitle(f"{label(results['model_path'])} on {label(results['dataset_path'])}", fontsize=11)
    save(figure, path)


def _contestants(axis: Axes, results: Numbers, kind: str, metric: str) -> None:
    shown = [(name, one[kind]) for name, one in contestants(results) if one.get(kind, {}).get(metric) is not None]
    colours = ["tab:blue" if name == "model" else "silver" for name, _ in shown]
    _bars(axis, [name for name, _ in shown], [numbers for _, numbers in shown], metric, colours)
    axis.set_title(f"{kind}: {_TITLES[metric]}", fontsize=11)


def _tasks(axis: Axes, results: Numbers, kind: str, metric: str) -> None:
    of_tasks: Mapping[str, Numbers] = results[kind].get("by_task", {})
    tasks = {name: one for name, one in of_tasks.items() if one.get(metric) is not None}
    worst_first = sorted(tasks, key=lambda name: float(tasks[name][metric]), reverse=metric == "mae")[:MOST_TASKS]
    _bars(axis, worst_first, [tasks[name] for name in worst_first], metric, ["tab:blue"] * len(worst_first))
    of = f" ({len(worst_first)} worst of {len(tasks)})" if len(worst_first) < len(tasks) else ""
    axis.set_title(f"{kind} by task{of}", fontsize=11)


def _bars(axis: Axes, names: Sequence[str], numbers: Sequence[Numbers], metric: str, colours: Sequence[str]) -> None:
    """Draw lying bars, the first on top; no interval is drawn, and its name says so, where there was one episode."""
    places, values = np.arange(len(names)), np.array([one[metric] for one in numbers], np.float64)
    axis.barh(places, values, color=list(colours))
    known = [place for place, one in enumerate(numbers) if one.get(f"{metric}_interval") is not None]
    low, high = np.array([numbers[place][f"{metric}_interval"] for place in known], np.float64).reshape(-1, 2).T
    reach = np.maximum(np.stack([values[known] - low, high - values[known]]), 0.0)
    axis.errorbar(values[known], places[known], xerr=reach, fmt="none", ecolor="black", elinewidth=1, capsize=2)
    axis.set_yticks(places, [_bar_name(name, one) for name, one in zip(names, numbers, strict=True)], fontsize=8)
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    if metric == "accuracy":
        axis.set_xlim(0, 1)


def _instructions(axis: Axes, results: Numbers, name: str) -> None:
    """Draw the score by whose instruction was asked, beside the known answers and what the first frame alone gives."""
    numbers = results[name]
    kinds = kinds_of(numbers)
    _bars(
        axis,
        [KIND_NAMES[kind] for kind in kinds],
        [numbers[kind] for kind in kinds],
        "score",
        ["tab:blue"] * len(kinds),
    )
    for beside, marker, words in (
        (numbers, "D", "known answer"),
        (results["controls"].get("first_frame", {}).get(name, {}), "o", "first frame only"),
    ):
        metric = "known" if beside is numbers else "score"
        values = [beside.get(kind, {}).get(metric) for kind in kinds]
        known = [place for place, value in enumerate(values) if value is not None]
        if known:
            axis.plot([values[at] for at in known], known, marker, color="black", label=words, fillstyle="none")
    gap, bounds = numbers.get("same_scene_gap"), numbers.get("same_scene_gap_interval")
    said = "" if gap is None else f": own - same scene {gap:+.1f}"
    said += "" if gap is None or bounds is None else f" [{bounds[0]:.1f}, {bounds[1]:.1f}]"
    axis.set_title(f"{name.replace('_', ' ')}{said}", fontsize=11)
    axis.set_xlim(-2, 102)
    axis.legend(loc="lower right", fontsize=9)


def _bar_name(name: str, numbers: Numbers) -> str:
    return f"{label(name, 32)} (one episode)" if numbers.get("episodes") == 1 else label(name, 32)


def _reliability(axis: Axes, kind: str, numbers: Numbers) -> None:
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--")
    drawn = [("as given", numbers)]
    if "at_temperature" in numbers:
        drawn.append((f"at temperature {numbers['temperature']:.2f}", numbers["at_temperature"]))
    for name, one in drawn:
        bins = one["reliability"]
        predicted, observed = [part["predicted"] for part in bins], [part["observed"] for part in bins]
        axis.plot(predicted, observed, marker="o", markersize=4, label=f"{name}: ECE {_ece(one)}")
    event = "the score is at least t" if kind == "progress" else "the answer is 1"
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"probability that {event}", ylabel="how often it was so")
    axis.set_title(f"{kind}: reliability", fontsize=11)
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left", fontsize=9)


def _ece(numbers: Numbers) -> str:
    return "-" if numbers["ece"] is None else f"{numbers['ece']:.3f}"
