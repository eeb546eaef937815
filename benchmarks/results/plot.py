"""The ladder as a picture: figures against the share of episodes, and against the number of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.results.advice import ALL
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.files.figure import Axes, plt, save

LINES = (("preference", "seen", "accuracy, seen tasks"), ("preference", "unseen", "accuracy, unseen tasks"),
         ("tau_a", "seen", "tau-a, seen tasks"), ("tau_a", "unseen", "tau-a, unseen tasks"))  # fmt: skip


def plot_ladder(rungs: Sequence[Numbers], path: Path) -> None:
    """Write a PNG with 95% intervals as bars."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, what in zip(axes, ("episodes", "tasks"), strict=True):
        _draw(axis, [one for one in rungs if one["axis"] in (what, ALL)], what)
    axes[0].set_ylabel("accuracy, tau-a")
    axes[0].legend(fontsize=8, loc="lower right")
    save(figure, path, dpi=90)


def _draw(axis: Axes, rungs: Sequence[Numbers], what: str) -> None:
    for number, (name, side, label) in enumerate(LINES):
        points = [(one[what], one[side][name]) for one in rungs if one[side].get(name)]
        if not points:
            continue
        at = [x * 1.02 ** (number - 1.5) for x, _ in points]  # side by side, so that no bar hides another
        values = [one["value"] for _, one in points]
        bounds = [one["interval"] or (one["value"], one["value"]) for _, one in points]
        below = [max(0.0, value - low) for value, (low, _) in zip(values, bounds, strict=True)]
        above = [max(0.0, high - value) for value, (_, high) in zip(values, bounds, strict=True)]
        color = "tab:blue" if name == "preference" else "tab:red"
        axis.plot(at, values, "-o" if side == "seen" else "--o", markersize=4, color=color, label=label)
        axis.errorbar(at, values, yerr=[below, above], fmt="none", capsize=2, ecolor=color)
    ticks = sorted({one[what] for one in rungs})
    axis.set(xscale="log", xlabel=f"{what} trained on", xticks=ticks, xticklabels=[str(x) for x in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
