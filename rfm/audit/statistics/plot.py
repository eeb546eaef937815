"""Statistics as a picture: the mixture, answers and lengths of clips of one or several datasets side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rfm.audit.statistics.counts import Statistics, binned
from rfm.files.figure import Axes, Patch, label, plt, save

MOST_BARS = 14
"""Names shown of strategies, sources and tasks; the title says of how many."""

_NAME = 40
_MOST_TICKS = 24
_ROOM = 2
"""Height of a chart's title and axis, in bars."""


def plot_statistics(statistics: Sequence[Statistics], path: Path) -> None:
    """Write a PNG: names on the left, values on the right; bars are shares of a dataset's rows or clips."""
    named = {
        "strategies": [_strategies(one) for one in statistics],
        "sources": [one.sources for one in statistics],
        "tasks": [one.tasks for one in statistics],
    }
    heights = [_ROOM + min(len(set().union(*counts)), MOST_BARS) for counts in named.values()]
    figure = plt.figure(figsize=(15, max(8.0, 0.3 * sum(heights))), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.15, 1], squeeze=False)[0]
    for axis, (title, counts) in zip(left.subplots(3, height_ratios=heights), named.items(), strict=True):
        _lying_bars(axis, title, counts)
    answers, pairs, lengths = right.subplots(3)
    _standing_bars(answers, "progress answers", [_progress(one) for one in statistics])
    _standing_bars(pairs, "answers of pairs", [_pairs(one) for one in statistics])
    _standing_bars(lengths, "frames a clip", [_lengths(one) for one in statistics])
    names = [f"{one.path}: {one.rows} rows on {one.frame_files} frame files" for one in statistics]
    handles = [Patch(color=_colour(at), label=label(name)) for at, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower center")
    save(figure, path)


def _strategies(one: Statistics) -> dict[str, int]:
    return {
        f"{kind}/{name or 'null'}": count for kind, counts in one.strategies.items() for name, count in counts.items()
    }


def _progress(one: Statistics) -> dict[str, int]:
    answers = one.answers.get("progress", {})
    return binned(answers) if any(answer.isdigit() and int(answer) > 5 for answer in answers) else answers


def _pairs(one: Statistics) -> dict[str, int]:
    return {
        f"{kind}\n{answer}": count
        for kind in ("preference", "similarity")
        for answer, count in one.answers.get(kind, {}).items()
    }


def _lengths(one: Statistics) -> dict[str, int]:
    total: Counter[int] = Counter()
    for counts in one.clip_lengths.values():
        total.update({int(length): count for length, count in counts.items()})
    return {str(length): total[length] for length in sorted(total)}


def _lying_bars(axis: Axes, title: str, counts: Sequence[Mapping[str, int]]) -> None:
    """Draw names on the left, the most frequent on top."""
    everything: Counter[str] = Counter()
    for of_dataset in counts:
        everything.update(of_dataset)
    names = [name for name, _ in everything.most_common(MOST_BARS)]
    places, height = np.arange(len(names)), 0.8 / len(counts)
    for at, of_dataset in enumerate(counts):
        axis.barh(places + (at - (len(counts) - 1) / 2) * height, _shares(of_dataset, names), height, color=_colour(at))
    axis.set_yticks(places, [label(name or "(null)", _NAME) for name in names], fontsize=9)
    axis.invert_yaxis()
    more = f" ({len(names)} of {len(everything)})" if len(names) < len(everything) else ""
    axis.set_title(f"{title}{more}, % of rows", fontsize=11)
    axis.grid(axis="x", alpha=0.3)


def _standing_bars(axis: Axes, title: str, counts: Sequence[Mapping[str, int]]) -> None:
    """Draw values from left to right in their own order."""
    names = list(dict.fromkeys(name for of_dataset in counts for name in of_dataset))
    if all(name.isdigit() for name in names):
        names.sort(key=int)
    width = 0.8 / len(counts)
    for at, of_dataset in enumerate(counts):
        places = np.arange(len(names)) + (at - (len(counts) - 1) / 2) * width
        axis.bar(places, _shares(of_dataset, names), width, color=_colour(at))
    every = max(-(-len(names) // _MOST_TICKS), 1)
    axis.set_xticks(np.arange(len(names))[::every], [label(name, _NAME) for name in names[::every]], fontsize=9)
    axis.set_title(f"{title}, %", fontsize=11)
    axis.grid(axis="y", alpha=0.3)
    if not names:
        axis.text(0.5, 0.5, "none", ha="center", transform=axis.transAxes)


def _colour(at: int) -> str:
    return f"C{at % 10}"


def _shares(counts: Mapping[str, int], names: Sequence[str]) -> list[float]:
    whole = max(sum(counts.values()), 1)
    return [100 * counts.get(name, 0) / whole for name in names]
